"""The method as one object: adapt, seed, train, rank. The backend and the simulator drive the same."""

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aftertone_model.acquisition import Inputs, Labelled, Requires, default_strategy, find_strategy
from aftertone_model.acquisition.guard import rank_guarded
from aftertone_model.acquisition.ranking import Ranking
from aftertone_model.acquisition.seeding import ON_CNN_MEANS, SEEDINGS
from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.backbones.features import cnn_means
from aftertone_model.classification.finetune import FineTuned, finetune
from aftertone_model.classification.model import EmotionModel
from aftertone_model.classification.pool_features import PoolFeatures
from aftertone_model.classification.scoring import Dropout, Scores, score
from aftertone_model.config import PRACTICAL, TAPT_PROFILES, PretrainingConfig, TrainingConfig, Tuning
from aftertone_model.data.clips import Clip
from aftertone_model.data.files import Guard
from aftertone_model.errors import BackboneError, LabelError
from aftertone_model.evaluation.metrics import Metrics
from aftertone_model.evaluation.rating_metrics import RatingMetrics
from aftertone_model.labels import LabelSchema
from aftertone_model.pretraining.masked_loss_profiles import masked_loss_profiles
from aftertone_model.pretraining.record import Adaptation
from aftertone_model.pretraining.run import adapt
from aftertone_model.runtime import Runtime

NO_LABELS: Mapping[str, NDArray[np.floating]] = {}


@dataclass(frozen=True, kw_only=True)
class Training:
    """One round's classifier and what is known about it."""

    model: EmotionModel  # in eval mode
    tuned: FineTuned  # how the training went
    labels: int  # clips trained on
    per_class: tuple[float, ...]  # (C,) `LabelSchema.counts`
    temperature: float  # that the model's logits were divided by; already in its weights, 1 = left alone
    metrics: Metrics | RatingMetrics | None
    """On the test set; None without a test clip on whose answer annotators agree."""
    plain_metrics: Metrics | RatingMetrics | None
    """The same of the transformers classifier alone; None where there is no clip head."""
    seconds: float  # wall-clock


class Learner:
    """Learns one question on one pool. Same inputs and seed, same picks."""

    def __init__(
        self, backbone: Backbone, schema: LabelSchema, runtime: Runtime, config: TrainingConfig = PRACTICAL
    ) -> None:
        """
        Args:
            backbone: the adapted one, or the one to adapt.
            schema: the kind of label and its classes.
            runtime: its pool holds every clip that is spoken of below.
        """
        self.backbone, self.schema, self.runtime, self.config = backbone, schema, runtime, config
        self._pool_features: PoolFeatures | None = None
        self._surprisal: dict[str, NDArray[np.float32]] = {}  # of the present backbone, by clip id

    @property
    def tapt(self) -> PretrainingConfig:
        """How the backbone is adapted: as the config says, or else as suits the backbone."""
        if self.config.tapt is not None:
            return self.config.tapt
        try:
            return TAPT_PROFILES[self.backbone.tapt_profile]
        except KeyError:
            raise BackboneError(
                f"The config.json of {self.backbone.name} names the tapt_profile {self.backbone.tapt_profile!r}. "
                f"There are: {', '.join(TAPT_PROFILES)}."
            ) from None

    def adapt(self, clips: Sequence[Clip], folder: Path, guard: Guard = nullcontext) -> Adaptation:
        """Task-adaptive pre-training on the clips, without labels; from here on the learner uses what `folder` holds.

        Args:
            folder: complete or absent; where it is complete nothing is trained.
            guard: entered around the moment in which `folder` takes its place.
        """
        adaptation = adapt(self.backbone, clips, self.tapt, folder, self.runtime, guard=guard)
        self.backbone = load_backbone(str(folder), seed=self.runtime.seed)
        self._pool_features, self._surprisal = None, {}
        return adaptation

    def seed(self, clips: Sequence[Clip], k: int | None = None, labelled: Sequence[Clip] = ()) -> Ranking:
        """The order in which to ask before there is a classifier: spread over clusters of the clips.

        Args:
            clips: that may be asked for; those already labelled are left out.
            k: clips to ask for; None is 1 % of them, at least one per cluster.
            labelled: clips that have labels already, whose clusters wait their turn.
        """
        clips = _rows(clips, {clip.id for clip in labelled})
        others = sorted(labelled, key=lambda clip: clip.id)
        self.backbone.to(self.runtime.device)
        if self.config.seeding in ON_CNN_MEANS:
            representations = cnn_means(self.backbone, [*clips, *others], self.runtime)  # (N + M, D)
        else:
            representations = self._features.represent([*clips, *others])
        ranked = SEEDINGS[self.config.seeding](
            representations[: len(clips)],
            k,
            np.random.default_rng(self.runtime.seed),
            representations[len(clips) :] if others else None,
        )
        return Ranking.of(clips, ranked, self.config.seeding)

    def train(
        self,
        labels: Mapping[str, NDArray[np.floating]],
        test: Mapping[str, NDArray[np.floating]],
        clips: Sequence[Clip],
        previous: EmotionModel | None = None,
    ) -> Training:
        """Fine-tune on all labels so far and measure the result on the test set.

        With enough test clips, a temperature is fitted on them and folded into the last layer: one number, which moves
        no prediction. The calibration error is that of clips whose temperature was fitted without them.

        Args:
            labels: clip id -> (C,) soft label.
            test: the same for test clips; none of them is trained on, even if `labels` has it too.
            clips: where the ids are looked up, for length and speaker; the pool knows no speakers.
            previous: the last round's model, for a warm start.

        Raises:
            LabelError: no labels, a label that the schema doesn't know, or an id that `clips` lacks.
        """
        start = time.monotonic()
        known, held_out = labels.keys() - test.keys(), test.keys()
        labelled, targets = self._taught(labels, known, clips)
        test_clips, tested = self._taught(test, held_out, clips)
        if not labelled:
            raise LabelError("There is no label to train on. Label some clips first.")
        tuned = self._finetune(labelled, targets, previous)
        classifier = tuned.classifier
        head = self._features.fit_head(classifier, labelled, targets, clips) if self.config.clip_head else None
        temperature, plain_metrics = self._evaluate(EmotionModel(classifier=classifier), test_clips, tested)
        with torch.no_grad():
            for parameter in classifier.classifier.parameters():
                parameter /= temperature
        metrics = plain_metrics
        if head is not None:
            temperature, metrics = self._evaluate(EmotionModel(classifier=classifier, head=head), test_clips, tested)
            head = head.over(temperature)
        return Training(
            model=EmotionModel(classifier=classifier, head=head),
            tuned=tuned,
            labels=len(labelled),
            per_class=tuple(map(float, self.schema.counts(targets))),
            temperature=temperature,
            metrics=metrics,
            plain_metrics=plain_metrics if head is not None else None,
            seconds=time.monotonic() - start,
        )

    def judge(
        self,
        labels: Mapping[str, NDArray[np.floating]],
        clips: Sequence[Clip],
        previous: EmotionModel | None = None,
    ) -> EmotionModel:
        """The model of `train` with no test set, in less time: a transformers classifier that only probes the backbone
        is left untrained where a clip head beside it judges. For simulations.

        Raises:
            LabelError: as `train`.
        """
        probes = all(stage.tuning is Tuning.PROBE for stage in self.config.stages(len(labels)))
        warm = self.config.warm_start and previous is not None  # whose transformer may be tuned
        if not labels or not probes or warm or not self.config.clip_head:
            return self.train(labels, {}, clips, previous).model
        labelled, targets = self._taught(labels, labels.keys(), clips)
        classifier = self._features.untrained_classifier()
        return EmotionModel(classifier=classifier, head=self._features.fit_head(classifier, labelled, targets, clips))

    def rank(
        self,
        model: EmotionModel,
        clips: Sequence[Clip],
        k: int,
        labels: Mapping[str, NDArray[np.floating]] = NO_LABELS,
        strategy: str | None = None,
    ) -> Ranking:
        """Score the clips without a label, each once, and order them by a query strategy.

        A share of the picks is drawn by chance, as the config says.

        Args:
            clips: that may be asked for, and those that have labels.
            k: clips to ask for now, >= 0.
            labels: clip id -> (C,) soft label, of some of the clips. No label of the test set.
            strategy: a name in `aftertone_model.acquisition.STRATEGIES`; by default the config's, or one that can rank
                this kind of label.

        Raises:
            StrategyError: there is no such strategy, or it can't rank this kind of label.
            LabelError: a label that the schema doesn't know, or of a clip that `clips` lacks.
        """
        predicts = self.schema.predicts
        name = strategy or default_strategy(self.config.strategy, predicts)
        chosen = find_strategy(name, predicts)
        candidates = _rows(clips, labels.keys())
        dropout = None
        if Requires.MC in chosen.requires:
            dropout = Dropout(samples=self.config.mc_samples, share=self.config.dropout, seed=self.runtime.seed)
        scores = self._score(model, candidates, dropout=dropout)
        predictions, mc, surprisal, known = self.schema.predictions(scores.logits), None, None, None
        if scores.samples is not None:
            mc = self.schema.predictions(scores.samples)
        if Requires.SURPRISAL in chosen.requires:
            surprisal = self._surprisal_of(candidates)
        if Requires.LABELLED in chosen.requires:
            known = self._labelled(model, clips, labels)
        inputs = Inputs(
            candidates=len(candidates),
            probabilities=predictions if predicts == Requires.PROBABILITIES else None,
            ratings=predictions if predicts == Requires.RATINGS else None,
            exclusive=self.schema.exclusive,
            mc=mc,
            embeddings=scores.embeddings,
            surprisal=surprisal,
            labelled=known,
        )
        ranked = rank_guarded(
            chosen,
            inputs,
            k,
            self.config.random_share,
            np.random.default_rng(self.runtime.seed),
            np.random.default_rng([self.runtime.seed, len(labels)]),  # others in each round
        )
        return Ranking.of(candidates, ranked, name, predictions)

    def predict(self, model: EmotionModel, clips: Sequence[Clip]) -> NDArray[np.float64]:
        """(N, C) `LabelSchema.predictions` of clips, rows in their order; for the stop set and for relabelling."""
        return self.schema.predictions(self._score(model, clips).logits)

    def _finetune(
        self, clips: Sequence[Clip], labels: NDArray[np.floating], previous: EmotionModel | None
    ) -> FineTuned:
        return finetune(
            self.backbone.to(self.runtime.device),
            self.schema,
            clips,
            labels,
            self.config,
            self.runtime,
            previous=None if previous is None else previous.classifier,
            cache=self._features.cache,
        )

    def _taught(
        self, labels: Mapping[str, NDArray[np.floating]], ids: Collection[str], clips: Sequence[Clip]
    ) -> tuple[list[Clip], NDArray[np.floating]]:
        """The clips of the ids, by id, and their labels (N, C)."""
        by_id, ordered = {clip.id: clip for clip in clips}, sorted(ids)
        for id in ordered:
            if id not in by_id:
                raise LabelError(
                    f"Clip {id} has a label but is not among the clips given. Pass the whole pool, labelled clips too."
                )
        return [by_id[id] for id in ordered], self.schema.stack(labels, ordered)

    def _labelled(
        self, model: EmotionModel, clips: Sequence[Clip], labels: Mapping[str, NDArray[np.floating]]
    ) -> Labelled:
        """What the model makes of the labelled clips, rows by id."""
        labelled, targets = self._taught(labels, labels.keys(), clips)
        scores = self._score(model, labelled, "score labelled")
        predictions = self.schema.predictions(scores.logits)
        return Labelled(
            labels=np.where(np.isnan(targets), predictions, targets),
            predictions=predictions,
            embeddings=scores.embeddings,
        )

    def _surprisal_of(self, clips: Sequence[Clip]) -> NDArray[np.float32]:
        """(N, B) profiles; they are the same in every round, and computed in the first."""
        missing = [clip for clip in clips if clip.id not in self._surprisal]
        if missing:
            found = masked_loss_profiles(self.backbone.to(self.runtime.device), missing, self.tapt, self.runtime)
            self._surprisal |= {clip.id: profile for clip, profile in zip(missing, found, strict=True)}
        return np.array([self._surprisal[clip.id] for clip in clips])

    def _score(
        self, model: EmotionModel, clips: Sequence[Clip], stage: str = "score", dropout: Dropout | None = None
    ) -> Scores:
        return score(
            model.classifier,
            clips,
            self.runtime,
            head=model.head,
            dropout=dropout,
            cache=self._features.cache_for(model.classifier),
            stage=stage,
        )

    @property
    def _features(self) -> PoolFeatures:
        """Of the present backbone; made anew after `adapt`."""
        if self._pool_features is None:
            self._pool_features = PoolFeatures(self.backbone, self.schema, self.runtime, self.config)
        return self._pool_features

    def _evaluate(
        self, model: EmotionModel, clips: Sequence[Clip], labels: NDArray[np.floating]
    ) -> tuple[float, Metrics | RatingMetrics | None]:
        """The temperature to divide logits by, and the test set's metrics."""
        clear = np.flatnonzero(self.schema.clear(labels)) if len(labels) else []
        if len(clear) == 0:
            return 1.0, None
        tested, labels = [clips[int(row)] for row in clear], labels[clear]
        scores = self._score(model, tested, "test")
        temperature, predictions = self.schema.calibrate(scores.logits, labels, self.runtime.seed)
        speakers = [clip.speaker for clip in tested]
        files = [clip.file for clip in tested]
        return temperature, self.schema.measure(labels, predictions, speakers, self.runtime.seed, files)


def _rows(clips: Sequence[Clip], labelled: Collection[str]) -> list[Clip]:
    """The clips that may be asked for, by id: ties and noise go by row, which must be deterministic."""
    return sorted((clip for clip in clips if clip.id not in labelled), key=lambda clip: clip.id)
