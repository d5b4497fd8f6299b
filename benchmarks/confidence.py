"""Whether a model that learned from few labels knows how little it knows.

    python -m benchmarks.confidence manifest.csv > docs/benchmarks/confidence.md

As `aftertone_model.learner` trains in the practical preset, without a test set; then what it says of clips of speakers
that it hasn't learned from. Of the transformers classifier that is exported: as it was trained, and under the
temperature that makes it as sure as what judges.
"""

from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.classification.model import EmotionModel
from aftertone_model.config import PRACTICAL
from aftertone_model.evaluation.metrics import calibration_error
from aftertone_model.evaluator import Evaluator
from aftertone_model.learner import Learner
from aftertone_model.simulate.intervals import interval
from aftertone_model.simulate.prepared import Prepared
from benchmarks.few_labels import BACKBONE, play

WAYS = ("what judges", "exported classifier, as trained", "exported classifier, as sure as what judges")


def run(prepared: Prepared, rows: NDArray[np.int64], labelled: int, seed: int) -> dict[str, tuple[float, ...]]:
    """Of each way: mean confidence, accuracy, ECE."""
    clips = [prepared.clips[row] for row in rows]
    truth = np.array([prepared.labels[row] for row in rows])
    speakers = sorted({clip.speaker or "" for clip in clips})
    held = set(np.random.default_rng(seed).permutation(speakers)[: len(speakers) // 4].tolist())
    tested = np.array([clip.speaker in held for clip in clips])
    learned = np.flatnonzero(~tested)[:labelled]
    classes = np.eye(len(prepared.classes))
    labels = {clips[row].id: classes[truth[row]] for row in learned}
    learner = Learner(load_backbone(BACKBONE), prepared.schema, prepared.runtime("cpu", seed), PRACTICAL)
    pool = [clip for clip, test in zip(clips, tested, strict=True) if not test]
    others = [clip for clip, test in zip(clips, tested, strict=True) if test]
    with patch.object(Evaluator, "as_sure", return_value=1.0):
        untempered = learner.train(labels, {}, pool).model
    tempered = learner.train(labels, {}, pool).model
    models = (tempered, EmotionModel(classifier=untempered.classifier), EmotionModel(classifier=tempered.classifier))
    return {
        way: _figures(truth[tested], learner.predict(model, others)) for way, model in zip(WAYS, models, strict=True)
    }


def _figures(truth: NDArray[np.int64], predictions: NDArray[np.float64]) -> tuple[float, ...]:
    right = float((predictions.argmax(axis=1) == truth).mean())
    return float(predictions.max(axis=1).mean()), right, calibration_error(truth, predictions)


def _drawn(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).permutation(len(labels))[:count]


def main() -> None:
    """Print the page."""
    runs = play(__doc__, run, _drawn, labelled=(20, 60, 100, 200), seeds=5)
    print(
        f"# Does the model know how little it knows?\n\nPrinted by `python -m benchmarks.confidence MANIFEST`.\n\n"
        f"{len(runs.chosen)} clips drawn by chance; a quarter of the speakers are tested on, labels are drawn from the "
        f"others; no test set, so no temperature is fitted on labels. {BACKBONE} without TAPT, preset practical. "
        f"Mean confidence, share that is right, expected calibration error (ECE, 15 bins), in %; intervals are "
        f"Student's over {runs.seeds} seeds, 95 %. {runs.machine}.\n\n"
        "| labels | | confidence | right | ECE |\n| --- | --- | --- | --- | --- |"
    )
    for count, rows in runs.found.items():
        for way in WAYS:
            cells = [interval(100 * np.array([row[way][part] for row in rows])).written(1, 1) for part in range(3)]
            print(f"| {count} | {way} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
