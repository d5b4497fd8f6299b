"""One small project played from TAPT to its second round, in figures that must not change unless somebody means it.

`python -m tests.unit.aftertone_model.golden [FILE]` writes them anew, to golden.json if no other file is named.

Libraries choose their kernels by the processor, kernels round differently, and training makes a last digit grow until
picks differ. Hence the project is played in a process of its own, told before it starts to use kernels that every
x86-64 processor has.
"""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from aftertone_model.acquisition import suitable
from aftertone_model.acquisition.seeding import SEEDINGS
from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.config import PAPER, PRACTICAL, TrainingConfig
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.labels import SingleChoice
from aftertone_model.learner import Learner
from aftertone_model.runtime import Runtime

FILE = Path(__file__).with_name("golden.json")
RECORDINGS = sorted(FILE.parent.glob("golden*.json"))  # each of one kind of processor
BACKBONES = ("tiny", "aftertone-mini")
CLASSES = ("low", "middle", "high")
CLIPS, TEST = 48, 12  # in all; of these held out
BATCH = 6
QUICK = replace(PRACTICAL, updates=40, epochs=1)
PAPER_QUICK = replace(PAPER, epochs=12, head_rate=1e-3, encoder_rate=3e-4)
ROOT = Path(__file__).parents[3]
SAME_KERNELS = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Prescott",
    "NPY_ENABLE_CPU_FEATURES": "SSE42",  # and none of the later ones
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4",  # exp, sin and the like of libm
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
OVERRIDING = ("NPY_DISABLE_CPU_FEATURES", "MKL_ENABLE_INSTRUCTIONS", "MKL_DYNAMIC")
PROGRAM = "import json, sys; from tests.unit.aftertone_model.golden import play; print(json.dumps(play(sys.argv[1])))"


def play_on_any_processor() -> dict[str, Any]:
    """The figures of each backbone, the same on every x86-64 processor and whatever the environment says."""
    with ThreadPoolExecutor(len(BACKBONES)) as side_by_side:  # the kernels that all have are slow
        return dict(zip(BACKBONES, side_by_side.map(_play_apart, BACKBONES), strict=True))


def _play_apart(backbone: str) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name not in OVERRIDING} | SAME_KERNELS
    command = [sys.executable, "-c", PROGRAM, backbone]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def play(backbone: str) -> dict[str, Any]:
    """The figures of one backbone in float32 with the kernels of this process, whose settings it changes."""
    torch.set_num_threads(1)
    torch.backends.nnpack.set_flags(False)  # as oneDNN below: no setting keeps its rounding; convolutions take MKL then
    with (
        torch.backends.mkldnn.flags(enabled=False),
        patch("aftertone_model.backbones.precision.bf16_is_faster", lambda _: False),
        tempfile.TemporaryDirectory() as scratch,
    ):
        return _play(backbone, Path(scratch))


def _play(backbone: str, folder: Path) -> dict[str, Any]:
    pool, clips, labels = _speech(folder)
    learner = _learner(pool, backbone, QUICK)
    record = learner.adapt(clips, folder / "adapted")
    found: dict[str, Any] = {
        "tapt": {
            "steps": record.steps,
            "kept": record.kept,
            "curve": [[p.losses["contrastive"], p.losses["reconstruction"], p.perplexity] for p in record.curve],
        }
    }
    adapted = str(folder / "adapted")
    asked, test = clips[TEST:], {clip.id: labels[clip.id] for clip in clips[:TEST]}
    found["seeds"] = {
        name: list(_learner(pool, adapted, replace(QUICK, seeding=name)).seed(asked, BATCH).picks) for name in SEEDINGS
    }
    for name, config in (("practical", QUICK), ("paper", PAPER_QUICK)):
        learner = _learner(pool, adapted, config)
        labelled, previous, rounds = list(found["seeds"]["kmeans"]), None, []
        for _ in range(2):
            training = learner.train({id: labels[id] for id in labelled}, test, clips, previous)
            previous = training.model
            known = {id: labels[id] for id in labelled}
            picks = {
                strategy: list(learner.rank(previous, asked, BATCH, known, strategy).picks)
                for strategy in suitable("probabilities")
                if (name, strategy) != ("paper", "alps")  # slow, and it looks at no label: once is enough
            }
            tuned = training.tuned
            rounds.append(
                {
                    "depth": str(tuned.tuning),
                    "warm": tuned.warm,
                    "retries": tuned.retries,
                    "loss": tuned.losses[-1],
                    "picks": picks,
                }
            )
            labelled += picks["badge"]
        found[name] = rounds
    return found


def _learner(pool: Pool, backbone: str, config: TrainingConfig) -> Learner:
    return Learner(load_backbone(backbone), SingleChoice(classes=CLASSES), Runtime(pool=pool, seed=3), config)


def _speech(folder: Path) -> tuple[Pool, list[Clip], dict[str, np.ndarray]]:
    """Voiced sounds of six speakers: what tells the classes is the pitch and how fast it wavers."""
    pool, rng = Pool(folder / "pool"), np.random.default_rng(11)
    clips, labels = [], {}
    for number in range(CLIPS):
        kind = int(rng.integers(len(CLASSES)))
        time = np.arange(int(16_000 * rng.uniform(0.6, 1.2))) / 16_000
        pitch = 120 * 1.4**kind * rng.uniform(0.8, 1.25) * (1 + 0.05 * np.sin(2 * np.pi * (3 + 2 * kind) * time))
        phase = 2 * np.pi * np.cumsum(pitch) / 16_000
        wave = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 6)) * 0.2
        wave += 0.05 * rng.normal(size=len(time))
        clip = replace(pool.add(np.asarray(wave, np.float32)), speaker=f"s{number % 6}")
        clips.append(clip)
        labels[clip.id] = np.eye(len(CLASSES))[kind]
    return pool, clips, labels


if __name__ == "__main__":
    file = Path(sys.argv[1]) if sys.argv[1:] else FILE
    file.write_text(json.dumps(play_on_any_processor(), indent=1) + "\n", encoding="utf-8")
