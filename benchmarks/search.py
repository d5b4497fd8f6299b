"""How many of the clips that search by example finds show the example's emotion.

    python -m benchmarks.search manifest.csv > docs/benchmarks/search.md

A part of a labelled corpus is labelled by chance, as the first rounds of a project would be, and the practical preset
learns from it. Each class then gives examples, and the other unlabelled clips are ordered as the status page does it.
"""

import argparse
import os
import platform
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.classification.pool_map import PoolMap, likable
from aftertone_model.config import PRACTICAL
from aftertone_model.learner import Learner
from aftertone_model.progress import hide_library_bars
from aftertone_model.simulate.intervals import interval
from aftertone_model.simulate.labelled_corpus import read_labelled
from aftertone_model.simulate.prepared import Prepared, decode, extract

BACKBONE = "aftertone-mini"
FOUND = 20  # clips
EXAMPLES = 15  # of each class


def run(prepared: Prepared, rows: NDArray[np.int64], labelled: int, seed: int) -> dict[str, float]:
    """Precision at FOUND, mean over the classes: of components alone, of probabilities alone, of both, by chance."""
    clips = [prepared.clips[row] for row in rows]
    truth = np.array([prepared.labels[row] for row in rows])
    learner = Learner(load_backbone(BACKBONE), prepared.schema, prepared.runtime("cpu", seed), PRACTICAL)
    classes = np.eye(len(prepared.classes))
    model = learner.train(
        {clip.id: classes[label] for clip, label in zip(clips[:labelled], truth, strict=False)}, {}, clips
    )
    pool_map = PoolMap()
    learner.embedded = pool_map.add
    predictions = learner.predict(model.model, clips)
    reduced = pool_map.reduced([clip.id for clip in clips], seed)
    assert reduced is not None
    nothing = np.zeros_like(predictions)
    ways = {
        "components alone": likable(reduced, nothing),
        "probabilities alone": likable(np.zeros_like(reduced), predictions),
        "both, as the page": likable(reduced, predictions),
    }
    return {name: _precision(rows, truth, labelled) for name, rows in ways.items()} | {"by chance": 1 / len(classes)}


def _precision(likable: NDArray[np.float32], truth: NDArray[np.int64], labelled: int) -> float:
    shares = []
    for label in np.unique(truth):
        for example in np.flatnonzero(truth == label)[:EXAMPLES]:
            likeness = likable @ likable[example]
            likeness[:labelled], likeness[example] = -2, -2
            shares.append((truth[np.argsort(-likeness)[:FOUND]] == label).mean())
    return float(np.mean(shares))


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--folder", type=Path, help="where decoded clips are kept; a temporary folder by default")
    parser.add_argument("--clips", type=int, default=800, help="clips of the pool, of all classes alike")
    parser.add_argument("--labelled", type=int, nargs="+", default=[40, 120, 240])
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    hide_library_bars()
    with tempfile.TemporaryDirectory() as temporary:
        corpus = read_labelled(args.manifest)
        prepared = decode(corpus, args.folder or Path(temporary), BACKBONE, 2, lambda *_: None)
        chosen = _even(np.array(prepared.labels), args.clips)
        extract(prepared, chosen.tolist(), "cpu")
        found = {
            count: [
                run(prepared, np.random.default_rng(seed).permutation(chosen), count, seed)
                for seed in range(args.seeds)
            ]
            for count in args.labelled
        }
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "scikit-learn"))
    drawn = sorted(Counter(prepared.labels[row] for row in chosen).items())
    counts = ", ".join(f"{prepared.classes[label]} {count}" for label, count in drawn)
    print(
        f"# Does search by example find the emotion?\n\nPrinted by `python -m benchmarks.search MANIFEST`.\n\n"
        f"{len(chosen)} clips: {counts}; some of them, drawn by chance, are labelled. {EXAMPLES} examples of each "
        f"class, and the {FOUND} unlabelled clips that are most like each. {BACKBONE} without TAPT. Intervals are "
        f"Student's over {args.seeds} seeds, 95 %.\n\n{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, "
        f"{versions}.\n\nPrecision at {FOUND}, in %:\n"
    )
    names = list(found[args.labelled[0]][0])
    print(f"| labels | {' | '.join(names)} |\n| --- |{' --- |' * len(names)}")
    for count, rows in found.items():
        cells = [interval(100 * np.array([row[name] for row in rows])).written(1, 1) for name in names[:-1]]
        print(f"| {count} | {' | '.join(cells)} | {100 * rows[0]['by chance']:.1f} |")


def _even(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Rows, as many of each class as there are of the rarest, at most `count` in all."""
    kinds = np.unique(labels)
    each = min(count // len(kinds), min(int((labels == kind).sum()) for kind in kinds))
    random = np.random.default_rng(0)
    return np.sort(np.concatenate([random.permutation(np.flatnonzero(labels == kind))[:each] for kind in kinds]))


if __name__ == "__main__":
    main()
