"""Does wav2vec2-base fit? The most memory that TAPT and a round take with a model of its shape and random weights.

    python -m benchmarks.base_memory [--steps 2] [--batch-seconds 200] > docs/benchmarks/base-memory.md

Each line is of a process of its own: one that only makes the model, one that adapts it for some steps with the TAPT
settings of published checkpoints, and ones that train and rank with each tuning. Clips are noise of 10 s, as long as
TAPT's crops, so that each step takes the most that one can.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.config import PRACTICAL, TAPT_PROFILES, Tuning
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.labels import SingleChoice
from aftertone_model.learner import Learner
from aftertone_model.progress import hide_library_bars
from aftertone_model.runtime import Runtime, device_named
from benchmarks.peak_memory import peak_memory

SECONDS = 10.0  # of each clip
SCHEMA = SingleChoice(classes=("first", "second"))
Report = tuple[str, float, dict[str, float]]  # what was done, its seconds, the most memory


def learner(folder: Path, backbone: Backbone, device: str, tuning: Tuning = Tuning.PROBE) -> Learner:
    """With updates few enough to wait for."""
    torch.manual_seed(0)
    hide_library_bars()
    config = replace(PRACTICAL, few_labels_tuning=tuning, updates=3, epochs=1)
    return Learner(backbone, SCHEMA, Runtime(pool=Pool(folder / "pool"), device=device_named(device)), config)


def make(folder: Path) -> Report:
    """Draw a model of the shape and save it."""
    torch.manual_seed(0)
    Backbone(Wav2Vec2ForPreTraining(Wav2Vec2Config()).eval()).save(folder / "base")
    return "a process that only makes the model", 0.0, peak_memory()


def adapt(folder: Path, clips: Sequence[Clip], steps: int, batch_seconds: float, device: str) -> Report:
    """TAPT, as of a published checkpoint."""
    learns = learner(folder, load_backbone(str(folder / "base")), device)
    tapt = replace(TAPT_PROFILES["standard"], max_steps=steps, validations=1, batch_seconds=batch_seconds)
    learns.config = replace(learns.config, tapt=tapt)
    start = time.monotonic()
    record = learns.adapt(clips, folder / "adapted")
    return f"TAPT, {record.steps} steps of {batch_seconds:.0f} s", time.monotonic() - start, peak_memory()


def train(folder: Path, clips: Sequence[Clip], tuning: Tuning, device: str) -> Report:
    """A round."""
    learns = learner(folder, load_backbone(str(folder / "adapted")), device, tuning)
    labels = {clip.id: np.eye(2)[number % 2] for number, clip in enumerate(clips[:6])}
    start = time.monotonic()
    training = learns.train(labels, {}, clips)
    learns.rank(training.model, clips, 2, labels)
    return f"a round, tuning {tuning}", time.monotonic() - start, peak_memory()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=26, help="of 10 s each; a quarter validates")
    parser.add_argument("--steps", type=int, default=2, help="of TAPT")
    parser.add_argument("--batch-seconds", type=float, default=200.0, help="audio per step of TAPT")
    parser.add_argument("--tunings", type=Tuning, nargs="+", default=list(Tuning))
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(arguments)
    print("# Memory for wav2vec2-base\n")
    shown = f"--clips {args.clips} --steps {args.steps} --batch-seconds {args.batch_seconds:.0f}"
    shown += f" --tunings {' '.join(args.tunings)} --device {args.device}"
    print(f"`python -m benchmarks.base_memory {shown}`: random weights of wav2vec2-base's shape.\n")
    print(
        f"torch {torch.__version__}, transformers {version('transformers')}, Python {platform.python_version()}, "
        f"{platform.machine()}, {args.device}.\n"
    )
    print("| what | seconds | most memory |\n| --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), np.random.default_rng(0)
        pool = Pool(folder / "pool")
        clips = [pool.add(rng.normal(0, 0.1, round(16_000 * SECONDS)).astype(np.float32)) for _ in range(args.clips)]
        work: list[Callable[[], Report]] = [
            partial(make, folder),
            partial(adapt, folder, clips, args.steps, args.batch_seconds, args.device),
            *(partial(train, folder, clips, tuning, args.device) for tuning in args.tunings),
        ]
        for part in work:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
                what, seconds, memory = processes.submit(part).result()
            sizes = ", ".join(f"{size:.2f} GB {kind}" for kind, size in memory.items())
            print(f"| {what} | {seconds:.0f} | {sizes} |", flush=True)


if __name__ == "__main__":
    main()
