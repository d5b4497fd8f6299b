"""Which labelled tasks are worth another look, as a round finds them."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aftertone.pipeline.dataset import Dataset
from aftertone.store.rounds import Doubt
from aftertone_model.cross_fitting import MIN_LABELS, cross_fitted, is_cheap
from aftertone_model.learning import AnyLearner
from aftertone_model.votes.relabel import relabel_list

MOST = 50  # tasks: each is a condition of a filter in Label Studio, and nobody looks at more between two rounds


def find_doubts(
    learner: AnyLearner[Any],
    dataset: Dataset,
    trained: Collection[str],
    found: Mapping[str, NDArray[np.floating]],
    seed: int,
) -> tuple[Doubt, ...]:
    """The list of a round, least sure first; empty for multiple choice, where no score is known.

    Labels that the round was trained on are compared with trainings without them, if these take seconds; else with the
    round's model, which has learned most of them by heart. Those of the test set are compared with the model itself.

    Args:
        trained: ids of clips that the round was trained on.
        found: clip id -> (C,) the round's probabilities.
    """
    if not learner.schema.exclusive:
        return ()
    labels = {clip: label for clip, label in dataset.labels_by(learner.config.votes).items() if clip in trained}
    probabilities = {clip: found[clip] for clip in dataset.labels if clip in found}
    if len(labels) >= MIN_LABELS and is_cheap(learner.config, len(labels)):
        clips = [clip for clip in dataset.labelled_clips if clip.id in labels]
        fitted = cross_fitted(learner, clips, labels, dataset.clips_and_segments, seed)
        probabilities |= dict(zip((clip.id for clip in clips), fitted, strict=True))
    votes = [vote for part in dataset.parts.values() for vote in part.votes]
    by_task: dict[int, Doubt] = {}  # of several segments of a task the least sure one
    for doubt in relabel_list(votes, probabilities, dataset.schema.classes, MOST):
        task = dataset.entry_of(doubt.clip).tasks[0]
        by_task.setdefault(task, Doubt(task=task, clip=doubt.clip, score=doubt.score, reason=doubt.reason))
    return tuple(by_task.values())
