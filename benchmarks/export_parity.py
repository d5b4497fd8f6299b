"""Whether a model says elsewhere what it says here: what a round serves, and its exports in a fresh environment.

    python -m benchmarks.export_parity manifest.csv --clips 100

Plays a project of real clips to its first round, exports it for transformers, as ONNX and as a data set, and runs
`benchmarks/export_parity_check.py` in a new virtual environment that holds neither Aftertone nor ffmpeg nor this
folder. Needs uv and a package index. Exits with 1 where probabilities differ by more than 0.001.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import soundfile

from aftertone.export import export_model
from aftertone.outputs.dataset_folder import write_dataset
from aftertone.outputs.predictions import Predictions, predictions_of
from aftertone_model.backbones.backbone import Backbone
from aftertone_model.classification.layer_cache import LayerCache
from aftertone_model.classification.model import load_model
from aftertone_model.classification.scoring import score
from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.data.manifest import Row, read_manifest
from aftertone_model.progress import hide_library_bars
from aftertone_model.runtime import Runtime
from benchmarks.played_corpus import play
from tests.unit.aftertone.loops import MemoryLoop

CHECK = Path(__file__).with_name("export_parity_check.py")
PINNED = ("torch", "transformers", "soundfile", "safetensors", "numpy", "onnxruntime")
VOICES = 5


def main() -> int:
    """Play, export, check elsewhere."""
    parser = argparse.ArgumentParser(description="Whether exports say what is served.")
    parser.add_argument("manifest", type=Path, help="columns path, emotion, speaker")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--python", type=Path, help="of an environment to use in place of a new one")
    asked = parser.parse_args()
    hide_library_bars()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        python = asked.python or fresh_environment(out / "fresh")
        loop = play(drawn(asked.manifest, asked.clips), out)
        carry(loop, out)
        packages = ", ".join(f"{name} {version(name)}" for name in PINNED)
        print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; here: {packages}", flush=True)
        alone = {"PATH": "", "HOME": folder, "HF_HUB_OFFLINE": "1"}
        return subprocess.run([python, "-I", CHECK, out], env=alone, cwd=folder).returncode


def fresh_environment(folder: Path) -> Path:
    """The Python of a new environment with what the cards ask for, and `datasets`."""
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    wanted = [f"{name}=={version(name)}" for name in PINNED]
    python = folder / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *wanted, "datasets"], check=True)
    return python


def drawn(manifest: Path, clips: int) -> list[Row]:
    """Rows of a few voices, in turn, so that each has as many."""
    rows = [row for row in read_manifest(manifest) if row.emotion and row.speaker]
    each = clips // VOICES
    voices = [
        name for name in sorted({str(row.speaker) for row in rows}) if sum(r.speaker == name for r in rows) >= each
    ]
    return [row for name in voices[:VOICES] for row in [r for r in rows if r.speaker == name][:each]]


def carry(loop: MemoryLoop, out: Path) -> None:
    """Write every export, the clips, and what is served."""
    store, served = loop.store, predictions_of(loop.store, loop.settings)
    for kind in ("transformers", "onnx"):
        export_model(store, loop.settings, out / kind, None, kind)
    counts = write_dataset(out / "dataset", "Parity", served.rows, served.schema, store.pool)
    plain, strangers = _others(loop, served)
    said = []
    for number, row in enumerate(served.rows):
        assert row.clip is not None
        path = out / "clips" / f"{row.clip.speaker}" / f"{row.clip.id}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, store.pool.waveform(row.clip.id), SAMPLE_RATE, subtype="FLOAT")
        said.append(
            {
                "path": str(path.relative_to(out)),
                "voice": row.clip.speaker,
                "served": row.predictions,
                "stranger": strangers[number],
                "plain": plain[number],
            }
        )
    expected = {
        "classes": served.schema.classes,
        "clips": said,
        "splits": counts,
        "most": 0.001,  # by which probabilities may differ
    }
    (out / "expected.json").write_text(json.dumps(expected))


def _others(loop: MemoryLoop, served: Predictions) -> tuple[list[list[float]], list[list[float]]]:
    """What the plain classifier says of each clip, and the clip head without knowing who speaks."""
    clips = [replace(row.clip, speaker=None) for row in served.rows if row.clip is not None]
    with loop.store.round_model(served.record.number) as (_, folder):
        model = load_model(folder)
    runtime = Runtime(pool=loop.store.pool)
    cache = LayerCache(loop.store.pool.folder, Backbone(model.classifier))
    both = [score(model.classifier, clips, runtime, head=head, cache=cache).logits for head in (None, model.head)]
    plain, strangers = (served.schema.predictions(logits).tolist() for logits in both)
    return plain, strangers


if __name__ == "__main__":
    sys.exit(main())
