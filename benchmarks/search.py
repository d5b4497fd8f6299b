"""How many of the clips that search by example finds show the example's emotion.

    python -m benchmarks.search manifest.csv > docs/benchmarks/search.md

A part of a labelled corpus is labelled by chance, as the first rounds of a project would be, and the practical preset
learns from it. Each class then gives examples, and the other unlabelled clips are ordered as the status page does it.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.classification.pool_map import PoolMap, likable
from aftertone_model.config import PRACTICAL
from aftertone_model.learner import Learner
from aftertone_model.simulate.intervals import interval
from aftertone_model.simulate.prepared import Prepared
from benchmarks.few_labels import BACKBONE, play

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
    ids = [clip.id for clip in clips]
    projection = pool_map.projection(ids, seed)
    assert projection is not None
    reduced = pool_map.through(projection, ids)
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
    runs = play(__doc__, run, _even, labelled=(40, 120, 240), seeds=3)
    drawn = sorted(Counter(runs.prepared.labels[row] for row in runs.chosen).items())
    counts = ", ".join(f"{runs.prepared.classes[label]} {count}" for label, count in drawn)
    print(
        f"# Does search by example find the emotion?\n\nPrinted by `python -m benchmarks.search MANIFEST`.\n\n"
        f"{len(runs.chosen)} clips: {counts}; some of them, drawn by chance, are labelled. {EXAMPLES} examples of each "
        f"class, and the {FOUND} unlabelled clips that are most like each. {BACKBONE} without TAPT. Intervals are "
        f"Student's over {runs.seeds} seeds, 95 %.\n\n{runs.machine}.\n\nPrecision at {FOUND}, in %:\n"
    )
    names = list(next(iter(runs.found.values()))[0])
    print(f"| labels | {' | '.join(names)} |\n| --- |{' --- |' * len(names)}")
    for count, rows in runs.found.items():
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
