"""Fine-tuning: from an adapted backbone and labels to an emotion classifier (AFTER §2.4, §3.1.3, Algorithm 1)."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import Wav2Vec2ForPreTraining, Wav2Vec2ForSequenceClassification

from aftertone_model.classification.classifier import class_names, new_classifier
from aftertone_model.classification.layer_cache import LayerCache
from aftertone_model.classification.trainer import Trainer
from aftertone_model.config import TrainingConfig, Tuning
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.progress import Progress, silent

log = logging.getLogger(__name__)

RETRIES = 2  # after a round that predicts one class only


@dataclass(frozen=True, kw_only=True)
class FineTuned:
    """A classifier and how its training went."""

    classifier: Wav2Vec2ForSequenceClassification  # in eval mode, on the device it was trained on
    depth: Tuning  # how much of the backbone was trained
    warm: bool  # it went on from the previous round's classifier
    updates: int  # optimiser steps of the last attempt
    losses: tuple[float, ...]  # mean training loss of each epoch of the last attempt
    validation_losses: tuple[float, ...]  # of each epoch; empty without a validation share
    retries: int  # attempts that collapsed to one class before
    collapsed: bool  # so did the last one: don't trust this classifier
    train_accuracy: float  # share of the training clips that it gets right, in [0, 1]


def finetune(
    backbone: Wav2Vec2ForPreTraining,
    pool: Pool,
    clips: Sequence[Clip],
    labels: NDArray[np.floating],
    classes: Sequence[str],
    config: TrainingConfig,
    *,
    previous: Wav2Vec2ForSequenceClassification | None = None,
    depth: Tuning | None = None,
    cache: LayerCache | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = silent,
) -> FineTuned:
    """Train a classifier on labelled clips whose frames the pool has.

    An attempt that ends up predicting one class for every clip, though labels name several, is repeated from the
    adapted backbone with another seed and half the rates; after two repeats the head alone is trained.

    Args:
        backbone: the adapted one; not changed.
        labels: (N, C) hard or soft, rows summing to 1, N > 0.
        previous: the last round's classifier, used where the config starts warm and its classes are the same.
        cache: the backbone's layer means, for probes; what it lacks is computed and added.
        depth: overrides the config's choice by the number of labels.
    """
    chosen = depth or config.depth(len(clips))
    several = len(np.unique(labels.argmax(axis=1))) > 1
    current, retries = config, 0
    while True:
        start = previous if config.warm_start and not retries and _fits(previous, classes, config.mix_layers) else None
        if start is None:
            classifier = new_classifier(backbone, classes, mix_layers=config.mix_layers, seed=seed + retries)
        else:
            classifier = copy.deepcopy(start)
        means = cache if start is None else None  # a previous round may have probed another backbone
        classifier.to(device)  # pyright: ignore[reportArgumentType] -- transformers' wrapper hides the signature
        run = Trainer(classifier, pool, clips, labels, current, chosen, seed + retries, means, progress)
        run.train(fresh=start is None)
        predicted = run.predict()
        collapsed = several and len(np.unique(predicted)) == 1
        if not collapsed or retries == RETRIES:
            break
        log.warning("A round collapsed to one class; trained again", extra={"action": "round_collapsed"})
        retries += 1
        current = current.slower()
        chosen = Tuning.PROBE if retries == RETRIES else chosen
    return FineTuned(
        classifier=classifier.eval(),
        depth=chosen,
        warm=start is not None,
        updates=run.updates,
        losses=tuple(run.losses),
        validation_losses=tuple(run.validation_losses),
        retries=retries,
        collapsed=collapsed,
        train_accuracy=float((predicted == labels.argmax(axis=1)).mean()),
    )


def _fits(previous: Wav2Vec2ForSequenceClassification | None, classes: Sequence[str], mixed: bool) -> bool:
    if previous is None:
        return False
    return class_names(previous) == tuple(classes) and previous.config.use_weighted_layer_sum == mixed
