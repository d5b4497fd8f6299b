"""Which weights should a round train, given its number of labels? Every `Tuning` on one corpus.

    python -m benchmarks.tuning MANIFEST [--backbone NAME] [--counts 100 300 1000] [--seeds 1]

The backbone (aftertone-mini unless told otherwise) is adapted once, briefly, to the training part of the corpus, or not
at all (`--steps 0`). Each tuning is then trained with the config `practical` on the same random labels and measured on
the same test clips. Speakers are never on both sides. The clip head, which judges beside the classifier, is left out.

Prints a line per count and tuning: UA with its 95 % interval, pooled over the seeds, seconds of training, and the most
memory that a process took which did nothing else; one that only loads the backbone is told first. `--device cuda` adds
the GPU's.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from tqdm import tqdm

from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.classification.finetune import finetune
from aftertone_model.classification.scoring import score
from aftertone_model.config import PRACTICAL, TAPT_PROFILES, Stage, Tuning
from aftertone_model.data.audio import decode
from aftertone_model.data.clips import Clip
from aftertone_model.data.manifest import read_manifest
from aftertone_model.data.pool import Pool
from aftertone_model.evaluation.test_split import assign_test_split
from aftertone_model.labels import SingleChoice
from aftertone_model.pretraining.run import adapt
from aftertone_model.progress import hide_library_bars
from aftertone_model.runtime import Runtime, device_named
from benchmarks.peak_memory import peak_memory


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training and its test, for a process of its own."""

    backbone: str
    pool: Path
    device: str
    threads: int
    seed: int
    tuning: Tuning | None  # None: load the backbone alone
    classes: tuple[str, ...]
    labelled: Sequence[Clip]
    labels: NDArray[np.float64]  # (N, C)
    test: Sequence[Clip]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a cell."""

    probabilities: NDArray[np.float64]  # (M, C) of the test clips
    accuracy: float  # on the labels
    seconds: float
    memory: dict[str, float]  # GB, see `peak_memory`


def read_clips(manifest: Path, pool: Pool, longest: float, limit: int) -> tuple[list[Clip], dict[str, str]]:
    """Labelled clips of known speakers up to `longest` seconds, in a seeded order, and their emotions."""
    rows = [row for row in read_manifest(manifest) if row.emotion and row.speaker]
    clips: dict[str, Clip] = {}
    emotions: dict[str, str] = {}
    for index in tqdm(np.random.default_rng(0).permutation(len(rows)), desc="decode", mininterval=5, leave=False):
        row = rows[int(index)]
        clip = pool.add(decode(row.path))
        if clip.seconds <= longest and row.emotion:
            clips[clip.id], emotions[clip.id] = replace(clip, speaker=row.speaker), row.emotion
        if len(clips) == limit:
            break
    return list(clips.values()), emotions


def run(cell: Cell) -> Outcome:
    """Train, test, and say how much memory it took."""
    hide_library_bars()
    torch.set_num_threads(cell.threads)
    schema, backbone = SingleChoice(classes=cell.classes), load_backbone(cell.backbone)
    runtime = Runtime(pool=Pool(cell.pool), seed=cell.seed, device=device_named(cell.device))
    backbone.to(runtime.device)
    if cell.tuning is None:
        return Outcome(probabilities=np.empty((0, 0)), accuracy=0.0, seconds=0.0, memory=peak_memory())
    start, stages = time.monotonic(), [Stage(tuning=cell.tuning)]
    tuned = finetune(backbone, schema, cell.labelled, cell.labels, PRACTICAL, runtime, stages=stages)
    seconds, memory = time.monotonic() - start, peak_memory()
    probabilities = schema.predictions(score(tuned.classifier, cell.test, runtime).logits)
    return Outcome(probabilities=probabilities, accuracy=tuned.train_accuracy, seconds=seconds, memory=memory)


def alone(cell: Cell) -> Outcome:
    """`run` in a process that did nothing before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        return processes.submit(run, cell).result()


def told(memory: dict[str, float]) -> str:
    """Peaks for people."""
    return ", ".join(f"{size:.2f} GB {kind}" for kind, size in memory.items())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--backbone", default="aftertone-mini")
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 300, 1_000])
    parser.add_argument("--tunings", type=Tuning, nargs="+", default=list(Tuning))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--limit", type=int, default=2_000, help="clips of the corpus to use")
    parser.add_argument("--longest", type=float, default=6.0, help="seconds; longer clips are left out")
    parser.add_argument("--steps", type=int, default=0, help="of TAPT; 0: the backbone as it comes")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(arguments)
    hide_library_bars()
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {platform.machine()}")
    print(f"{torch.get_num_threads()} threads, {args}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        pool = Pool(Path(folder) / "pool")
        clips, emotions = read_clips(args.manifest, pool, args.longest, args.limit)
        schema = SingleChoice(classes=tuple(sorted(set(emotions.values()))))
        one_hot = {id: np.eye(len(schema.classes))[schema.classes.index(emotion)] for id, emotion in emotions.items()}
        sides = assign_test_split(clips, {}, share=0.3)
        test = [clip for clip in clips if sides[clip.id]]
        train = [clip for clip in clips if not sides[clip.id]]
        truth, name = np.array([one_hot[clip.id] for clip in test]), args.backbone
        print(f"{len(train)} clips to train on, {len(test)} in the test set.", flush=True)
        runtime = Runtime(pool=pool, device=device_named(args.device))
        if args.steps:
            backbone = load_backbone(name)
            config = replace(TAPT_PROFILES[backbone.tapt_profile], max_steps=args.steps)
            print(adapt(backbone, train, config, Path(folder) / "adapted", runtime).reason, flush=True)
            name = str(Path(folder) / "adapted")
        cell = Cell(
            backbone=name,
            pool=pool.folder,
            device=args.device,
            threads=torch.get_num_threads(),
            seed=0,
            tuning=None,
            classes=schema.classes,
            labelled=(),
            labels=np.empty((0, 0)),
            test=test,
        )
        print(f"A process that only loads the backbone: {told(alone(cell).memory)}.", flush=True)
        # CNN frames of all clips are computed here, as the loop does at import
        alone(replace(cell, tuning=Tuning.PROBE, labelled=train, labels=np.array([one_hot[c.id] for c in train])))
        print("labels tuning       UA     95 % interval   train accuracy  seconds  most memory", flush=True)
        for count in args.counts:
            for tuning in args.tunings:
                outcomes = []
                for seed in range(args.seeds):
                    rows = np.random.default_rng([seed, 1]).permutation(len(train))[:count]
                    labelled = [train[int(row)] for row in rows]
                    labels = np.array([one_hot[clip.id] for clip in labelled])
                    outcomes.append(alone(replace(cell, tuning=tuning, seed=seed, labelled=labelled, labels=labels)))
                pooled = schema.measure(
                    np.tile(truth, (args.seeds, 1)),
                    np.concatenate([outcome.probabilities for outcome in outcomes]),
                    [clip.speaker for clip in test] * args.seeds,
                )
                accuracy = np.mean([outcome.accuracy for outcome in outcomes])
                seconds = np.mean([outcome.seconds for outcome in outcomes])
                figures = f"{accuracy:14.3f} {seconds:8.1f}  {told(outcomes[-1].memory)}"
                print(f"{count:6d} {tuning:11s} {pooled.ua.written(3)} {figures}", flush=True)


if __name__ == "__main__":
    main()
