"""Run by `benchmarks.export_parity` in an environment of its own: what the exports say, beside what was served."""

import importlib.util
import json
import shutil
import sys
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import soundfile


def main(folder: Path) -> int:
    """Print the largest difference of each way; 1 if one is too large, or something is there that shouldn't be."""
    for name in ("aftertone", "aftertone_model"):
        assert importlib.util.find_spec(name) is None, f"{name} is in this environment"
    assert shutil.which("ffmpeg") is None, "ffmpeg is in this environment"
    expected = json.loads((folder / "expected.json").read_text())
    clips = expected["clips"]
    heard = [soundfile.read(folder / clip["path"], dtype="float32")[0] for clip in clips]
    voices = defaultdict(list)
    for row, clip in enumerate(clips):
        voices[clip["voice"]].append(row)
    apart = {
        **by_emotions(folder / "transformers", clips, heard, voices),
        **by_pipeline(folder / "transformers", expected["classes"], clips, heard),
        **by_onnx(folder / "onnx", clips, heard, voices),
    }
    print(f"{len(clips)} clips of {len(voices)} voices, {len(expected['classes'])} classes")
    for way, difference in apart.items():
        print(f"{way:<60} {difference:.6f}")
    loads = by_datasets(folder / "dataset", expected["splits"])
    print(f"datasets loads {loads}")
    return 0 if max(apart.values()) <= expected["most"] and loads == expected["splits"] else 1


def by_emotions(folder: Path, clips: Any, heard: Any, voices: Any) -> dict[str, float]:
    """emotions.py, beside what is served."""
    spec = importlib.util.spec_from_file_location("emotions", folder / "emotions.py")
    assert spec is not None
    assert spec.loader is not None
    emotions = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(emotions)
    model = emotions.Emotions(folder)
    features = model.features(heard)
    together = np.empty((len(clips), len(model.classes)))
    for rows in voices.values():
        together[rows] = model.one_voice(features[rows])
    return {
        "emotions.py, one voice together, to what is served": furthest(together, clips, "served"),
        "emotions.py --strangers, to the clip head": furthest(model.strangers(features), clips, "stranger"),
    }


def by_pipeline(folder: Path, classes: list[str], clips: Any, heard: Any) -> dict[str, float]:
    """transformers' pipeline, beside the plain classifier."""
    from transformers import pipeline

    classify = pipeline("audio-classification", model=str(folder), device="cpu")
    said = []
    for samples in heard:
        answers = {one["label"]: one["score"] for one in classify(samples, top_k=None)}
        said.append([answers[name] for name in classes])
    return {"pipeline, to the plain classifier": furthest(np.array(said), clips, "plain")}


def by_onnx(folder: Path, clips: Any, heard: Any, voices: Any) -> dict[str, float]:
    """The graphs, beside what is served."""
    judge = onnxruntime.InferenceSession(folder / "model.onnx")
    told: list[Any] = [judge.run(["features", "predictions"], {"samples": samples[None]}) for samples in heard]
    features, alone = (np.concatenate([one[part] for one in told]) for part in (0, 1))
    one_voice, together = onnxruntime.InferenceSession(folder / "one_voice.onnx"), np.empty_like(alone)
    for rows in voices.values():
        (together[rows],) = one_voice.run(None, {"features": features[rows]})
    return {
        "one_voice.onnx, one voice together, to what is served": furthest(together, clips, "served"),
        "model.onnx, to the clip head": furthest(alone, clips, "stranger"),
    }


def by_datasets(folder: Path, splits: dict[str, int]) -> dict[str, int]:
    """Clips that each split has."""
    from datasets import load_dataset  # pyright: ignore[reportMissingImports] -- of the other environment

    # The table alone: for the audio, `datasets` wants torchcodec, and that wants ffmpeg's libraries.
    loaded = load_dataset("parquet", data_files={split: str(folder / split / "metadata.parquet") for split in splits})
    for split in splits:
        row = loaded[split][0]
        assert soundfile.info(folder / split / row["file_name"]).samplerate == 16_000
        assert (row["label"] is None) == (split == "unlabelled")
        assert split == "unlabelled" or abs(sum(row["soft_label"].values()) - 1) < 1e-6
    return {split: len(loaded[split]) for split in splits}


def furthest(said: Any, clips: Any, what: str) -> float:
    """The largest difference between probabilities."""
    return float(np.abs(said - np.array([clip[what] for clip in clips])).max())


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(Path(sys.argv[1])))
