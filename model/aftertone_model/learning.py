"""What the learner of any method does: adapt, seed, train, rank. The backend and the simulator drive the same."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition import Inputs, Labelled, Requires, default_strategy, find_strategy
from aftertone_model.acquisition.guard import rank_guarded
from aftertone_model.acquisition.ranking import Ranking
from aftertone_model.acquisition.seeding import ON_CNN_MEANS, SEEDINGS
from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.backbones.features import cnn_means
from aftertone_model.classification.pool_features import PoolFeatures
from aftertone_model.classification.scoring import Dropout, Scores
from aftertone_model.config import PRACTICAL, TAPT_PROFILES, PretrainingConfig, TrainingConfig
from aftertone_model.data.clips import Clip
from aftertone_model.data.files import Guard
from aftertone_model.errors import BackboneError, LabelError
from aftertone_model.evaluator import Evaluator
from aftertone_model.labels import LabelSchema
from aftertone_model.pretraining.masked_loss_profiles import masked_loss_profiles
from aftertone_model.pretraining.record import Adaptation
from aftertone_model.pretraining.run import adapt
from aftertone_model.runtime import Runtime
from aftertone_model.training import Fitted, M, Training

Embedded = Callable[[Sequence[Clip], NDArray[np.floating]], object]
"""Takes clips and their embeddings (N, D)."""

NO_LABELS: Mapping[str, NDArray[np.floating]] = {}


class AnyLearner(ABC, Generic[M]):
    """Learns one question on one pool, by some method. Same inputs and seed, same picks."""

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
        self.embedded: Embedded | None = None
        """Called with what strategies compare clips by, whenever clips are ranked or predicted."""
        self._pool_features: PoolFeatures | None = None
        self._surprisal: dict[str, NDArray[np.float32]] = {}  # of the present backbone, by clip id

    @property
    def goes_on(self) -> bool:
        """Whether a round wants the model of the one before."""
        return False

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

    def adapt(
        self,
        clips: Sequence[Clip],
        folder: Path,
        guard: Guard = nullcontext,
        labels: Mapping[str, NDArray[np.floating]] = NO_LABELS,
        held_out: Collection[str] = (),
    ) -> Adaptation:
        """Task-adaptive pre-training on the clips, without labels; from here on the learner uses what `folder` holds.

        Args:
            folder: complete or absent; where it is complete nothing is trained.
            guard: entered around the moment in which `folder` takes its place.
            labels: clip id -> (C,) soft label, as far as some are known; none of the test set. For methods that learn
                from them this early, which TAPT doesn't.
            held_out: ids of the test set's clips, of whose speakers such methods learn no label.
        """
        adaptation = self._adapt(clips, folder, guard, labels, held_out)
        self.backbone = load_backbone(str(folder), seed=self.runtime.seed)
        self._pool_features, self._surprisal = None, {}
        return adaptation

    def _adapt(
        self,
        clips: Sequence[Clip],
        folder: Path,
        guard: Guard,
        _labels: Mapping[str, NDArray[np.floating]],
        _held_out: Collection[str],
    ) -> Adaptation:
        return adapt(self.backbone, clips, self.tapt, folder, self.runtime, guard=guard)

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
        previous: M | None = None,
    ) -> Training[M]:
        """Fine-tune on all labels so far and measure the result on the test set.

        With enough test clips, a temperature is fitted on them and folded into the last layer: one number, which moves
        no prediction. The calibration error is that of clips whose temperature was fitted without them. `Evaluator`
        says what becomes of the transformers classifier before there are enough.

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
        fitted = self._fit(labelled, targets, clips, previous)
        evaluator = Evaluator(schema=self.schema, score=self._score, seed=self.runtime.seed)
        model, plain_metrics = fitted.model, None
        if fitted.plain is not None:
            unlabelled = _rows(clips, labels.keys() | held_out)
            temperature, plain_metrics = evaluator.plain(fitted, test_clips, tested, unlabelled)
            model = model.plain_over(temperature)
        temperature, metrics = evaluator.model(model, test_clips, tested)
        return Training(
            model=model.over(temperature),
            tuned=fitted.course,
            labels=len(labelled),
            per_class=tuple(map(float, self.schema.counts(targets))),
            temperature=temperature,
            metrics=metrics,
            plain_metrics=plain_metrics,
            seconds=time.monotonic() - start,
        )

    def judge(
        self,
        labels: Mapping[str, NDArray[np.floating]],
        clips: Sequence[Clip],
        previous: M | None = None,
    ) -> M:
        """The model of `train` with no test set.

        Raises:
            LabelError: as `train`.
        """
        return self.train(labels, {}, clips, previous).model

    def rank(
        self,
        model: M,
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
        self._show(candidates, scores)
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

    def predict(self, model: M, clips: Sequence[Clip]) -> NDArray[np.float64]:
        """(N, C) `LabelSchema.predictions` of clips, rows in their order; for the stop set and for relabelling."""
        scores = self._score(model, clips)
        self._show(clips, scores)
        return self.schema.predictions(scores.logits)

    @abstractmethod
    def _fit(
        self, labelled: Sequence[Clip], targets: NDArray[np.floating], clips: Sequence[Clip], previous: M | None
    ) -> Fitted[M]:
        """Train on labelled clips, by id.

        Args:
            targets: (N, C) their soft labels, N > 0.
            clips: all of the pool.
            previous: the last round's model, where there is one.
        """

    @abstractmethod
    def _score(self, model: M, clips: Sequence[Clip], stage: str = "score", dropout: Dropout | None = None) -> Scores:
        """What a model makes of clips, rows in their order; a clip's scores don't depend on its batch.

        Args:
            stage: what is reported as being done.
            dropout: masks under which clips are judged as well.
        """

    def _show(self, clips: Sequence[Clip], scores: Scores) -> None:
        if self.embedded is not None:
            self.embedded(clips, scores.embeddings)

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

    def _labelled(self, model: M, clips: Sequence[Clip], labels: Mapping[str, NDArray[np.floating]]) -> Labelled:
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

    @property
    def _features(self) -> PoolFeatures:
        """Of the present backbone; made anew after `adapt`."""
        if self._pool_features is None:
            self._pool_features = PoolFeatures(self.backbone, self.schema, self.runtime, self.config)
        return self._pool_features


def _rows(clips: Sequence[Clip], labelled: Collection[str]) -> list[Clip]:
    """The clips that may be asked for, by id: ties and noise go by row, which must be deterministic."""
    return sorted((clip for clip in clips if clip.id not in labelled), key=lambda clip: clip.id)
