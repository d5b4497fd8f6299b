"""Which weights should a round train, given its number of labels? Every `Tuning` on one corpus.

    python -m benchmarks.tuning MANIFEST [--counts 60 240] [--seeds 1]

The backbone (the tiny one unless told otherwise) is adapted once, briefly, to the training part of the corpus. Each
tuning is then trained with the config `practical` on the same random labels and measured on the same test clips.
Speakers are never on both sides. Prints a line per count and tuning: UA with its 95 % interval, pooled over the seeds,
and seconds.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import transformers
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
from aftertone_model.runtime import Runtime


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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--counts", type=int, nargs="+", default=[60, 240])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--limit", type=int, default=900, help="clips of the corpus to use")
    parser.add_argument("--longest", type=float, default=3.0, help="seconds; longer clips are left out")
    parser.add_argument("--steps", type=int, default=60, help="of TAPT")
    args = parser.parse_args(arguments)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {platform.processor()}")
    print(f"{torch.get_num_threads()} threads, {args}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        pool = Pool(Path(folder) / "pool")
        clips, emotions = read_clips(args.manifest, pool, args.longest, args.limit)
        schema = SingleChoice(classes=tuple(sorted(set(emotions.values()))))
        one_hot = {id: np.eye(len(schema.classes))[schema.classes.index(emotion)] for id, emotion in emotions.items()}
        sides = assign_test_split(clips, {}, share=0.3)
        test = [clip for clip in clips if sides[clip.id]]
        train = [clip for clip in clips if not sides[clip.id]]
        truth = np.array([one_hot[clip.id] for clip in test])
        backbone = load_backbone(args.backbone)
        config = replace(TAPT_PROFILES[backbone.tapt_profile], max_steps=args.steps)
        adaptation = adapt(backbone, train, config, Path(folder) / "adapted", Runtime(pool=pool))
        print(f"{len(train)} clips to train on, {len(test)} in the test set. {adaptation.reason}", flush=True)
        backbone = load_backbone(str(Path(folder) / "adapted"))

        print("labels tuning       UA     95 % interval   train accuracy  seconds", flush=True)
        for count in args.counts:
            for tuning in Tuning:
                probabilities, accuracies, seconds = [], [], 0.0
                for seed in range(args.seeds):
                    rows = np.random.default_rng([seed, 1]).permutation(len(train))[:count]
                    labelled = [train[int(row)] for row in rows]
                    labels = np.array([one_hot[clip.id] for clip in labelled])
                    start = time.monotonic()
                    runtime = Runtime(pool=pool, seed=seed)
                    stages = [Stage(tuning=tuning)]
                    tuned = finetune(backbone, schema, labelled, labels, PRACTICAL, runtime, stages=stages)
                    seconds += time.monotonic() - start
                    accuracies.append(tuned.train_accuracy)
                    probabilities.append(schema.probabilities(score(tuned.classifier, test, runtime).logits))
                pooled = schema.measure(
                    np.tile(truth, (args.seeds, 1)),
                    np.concatenate(probabilities),
                    [clip.speaker for clip in test] * args.seeds,
                )
                interval = f"{pooled.ua.low:.3f} to {pooled.ua.high:.3f}"
                figures = f"{np.mean(accuracies):14.3f} {seconds / args.seeds:8.1f}"
                print(f"{count:6d} {tuning:11s} {pooled.ua.value:.3f}  {interval} {figures}", flush=True)


if __name__ == "__main__":
    main()
