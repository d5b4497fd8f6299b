"""Fine-tuning: from an adapted backbone and labels to an emotion classifier (AFTER §2.4, §3.1.3, Algorithm 1)."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Size, nn

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.encoder import Encoder
from aftertone_model.backbones.families import SpeechClassifier
from aftertone_model.classification.classifier import class_names, new_classifier
from aftertone_model.classification.layer_cache import LayerCache
from aftertone_model.classification.trainer import Trainer
from aftertone_model.config import Stage, TrainingConfig, Tuning
from aftertone_model.data.clips import Clip
from aftertone_model.labels import LabelSchema
from aftertone_model.runtime import Runtime

log = logging.getLogger(__name__)

RETRIES = 2  # after a round that gives every clip the same answer


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a training went."""

    tuning: str  # which weights were trained: of the last stage, a `Tuning`, or in words of the method
    warm: bool = False  # it went on from the previous round's model
    updates: int  # optimiser steps of the last attempt, all stages
    losses: tuple[float, ...]  # mean training loss of each epoch of the last attempt
    skipped: int = 0  # of these updates, those whose gradient was not a number, so that nothing was changed
    retries: int = 0  # attempts that collapsed to one answer before
    collapsed: bool  # so did the last one: don't trust this model
    train_accuracy: float  # `LabelSchema.accuracy` on the training clips, at most 1


@dataclass(frozen=True, kw_only=True)
class FineTuned(Course):
    """A classifier and how its training went."""

    classifier: SpeechClassifier  # in eval mode, on the device it was trained on
    validation_losses: tuple[float, ...]  # of each epoch; empty without a validation share


def finetune(
    backbone: Backbone,
    schema: LabelSchema,
    clips: Sequence[Clip],
    labels: NDArray[np.floating],
    config: TrainingConfig,
    runtime: Runtime,
    *,
    previous: SpeechClassifier | None = None,
    stages: Sequence[Stage] = (),
    cache: LayerCache | None = None,
) -> FineTuned:
    """Train a classifier on labelled clips.

    An attempt that ends up giving every clip the same answer, though labels name several, is repeated from the adapted
    backbone with another seed and half the rates, twice at most; the second time the head alone is trained.

    Args:
        backbone: the adapted one; not changed.
        labels: (N, C) hard or soft, N > 0.
        previous: the last round's classifier, used where the config asks for a warm start, the classes are the same and
            it comes from the same backbone, adapted or not.
        stages: what to do, in order; by default what the config says for so many labels.
        cache: the backbone's layer means, for probes; what it lacks is computed and added.
    """
    stages = stages or config.stages(len(clips))
    current, retries = config, 0
    while True:
        attempt = replace(runtime, seed=runtime.seed + retries)
        warm = config.warm_start and not retries and _fits(previous, backbone, schema, config.mix_layers)
        if warm:
            classifier = copy.deepcopy(previous)
            assert classifier is not None
        else:
            classifier = new_classifier(backbone, schema, mix_layers=config.mix_layers, seed=attempt.seed)
        means = None if warm else cache  # a previous round may have probed another backbone
        runs: list[Trainer] = []
        for stage in stages:
            classifier.to(runtime.device)  # pyright: ignore[reportArgumentType] -- transformers' wrapper
            run = Trainer(classifier, schema, clips, labels, current, stage, attempt, None if runs else means)
            run.train(head_is_random=not warm and not runs)
            runs.append(run)
            if run.skipped:
                log.warning(
                    "%d of %d updates were skipped, since their gradient was not a number", run.skipped, run.updates,
                    extra={"action": "updates_skipped"},
                )  # fmt: skip
        predictions = schema.predictions(runs[-1].logits())
        collapsed = schema.collapsed(labels, predictions)
        if not collapsed or retries == RETRIES:
            break
        log.warning("A round collapsed to one answer; trained again", extra={"action": "round_collapsed"})
        retries += 1
        current = current.slower()
        if retries == RETRIES:
            stages = (Stage(tuning=Tuning.PROBE),)
    return FineTuned(
        classifier=classifier.eval(),
        tuning=stages[-1].tuning,
        warm=warm,
        updates=sum(run.updates for run in runs),
        skipped=sum(run.skipped for run in runs),
        losses=tuple(loss for run in runs for loss in run.losses),
        validation_losses=tuple(loss for run in runs for loss in run.validation_losses),
        retries=retries,
        collapsed=collapsed,
        train_accuracy=schema.accuracy(labels, predictions),
    )


def _fits(previous: SpeechClassifier | None, backbone: Backbone, schema: LabelSchema, mixed: bool) -> bool:
    """Whether a round can go on from the previous one's classifier."""
    if previous is None:
        return False
    before = Encoder(previous)
    same_shape = before.family == backbone.family and _shapes(before.body) == _shapes(backbone.body)
    if not same_shape or before.fingerprint != backbone.fingerprint:
        return False  # another backbone; the CNN, which no training changes, tells
    same_kind = (previous.config.problem_type or "single_label_classification") == schema.problem_type
    return same_kind and class_names(previous) == schema.classes and previous.config.use_weighted_layer_sum == mixed


def _shapes(body: nn.Module) -> dict[str, Size]:
    return {name: weight.shape for name, weight in body.state_dict().items()}
