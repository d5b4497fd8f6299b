"""Predictions for labelled clips by trainings that never saw their labels, which a model doubts only if it can."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aftertone_model.config import TrainingConfig, Tuning
from aftertone_model.data.clips import Clip
from aftertone_model.learning import AnyLearner

FOLDS = 3
MIN_LABELS = 12  # with fewer there is nothing to cross-fit


def is_cheap(config: TrainingConfig, labels: int) -> bool:
    """Whether so many labels are cross-fitted in seconds: each training fits a clip head alone."""
    return config.clip_head and all(stage.tuning is Tuning.PROBE for stage in config.stages(labels))


def cross_fitted(
    learner: AnyLearner[Any],
    clips: Sequence[Clip],
    labels: Mapping[str, NDArray[np.floating]],
    everyone: Sequence[Clip],
    seed: int,
) -> NDArray[np.float64]:
    """(N, C) probabilities of labelled clips, each by a training on the labels of two thirds that it isn't among.

    Args:
        clips: N >= MIN_LABELS of them.
        labels: clip id -> (C,) soft label, of each of them.
        everyone: the pool, of whose speakers the learner knows more with more clips.
        seed: of the draw of the thirds.
    """
    files = {file: number for number, file in enumerate(dict.fromkeys(clip.file for clip in clips))}
    thirds = np.random.default_rng(seed).permutation(len(files)) % FOLDS
    part = thirds[[files[clip.file] for clip in clips]]  # (N,) segments of one file together
    found = np.empty((len(clips), len(learner.schema.classes)))
    for number in range(FOLDS):
        rest = {clip.id: labels[clip.id] for clip, p in zip(clips, part, strict=True) if p != number}
        held = [clip for clip, p in zip(clips, part, strict=True) if p == number]
        trained = learner.judge(rest, everyone)
        found[part == number] = learner.predict(trained, held)
    return found
