"""The method as one object: adapt, seed, train, rank. The backend and the simulator drive the same."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Wav2Vec2ForPreTraining, Wav2Vec2ForSequenceClassification

from aftertone_model.acquisition import Inputs, Requires, find_strategy
from aftertone_model.acquisition.ranking import Ranking
from aftertone_model.acquisition.seeding import SEEDINGS
from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.backbones.features import cnn_means, hidden_means, without_speaker_means
from aftertone_model.classification.classifier import dropout_samples
from aftertone_model.classification.finetune import FineTuned, finetune
from aftertone_model.classification.layer_cache import LayerCache, same_body
from aftertone_model.classification.scoring import Scores, score
from aftertone_model.config import PRACTICAL, TrainingConfig
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.errors import AftertoneError
from aftertone_model.evaluation.calibration import MIN_CLIPS, cross_fitted, fit_temperature
from aftertone_model.evaluation.metrics import Metrics, measure, truths
from aftertone_model.pretraining.masked_loss_profiles import masked_loss_profiles
from aftertone_model.pretraining.record import Adaptation
from aftertone_model.pretraining.run import adapt, suited_settings
from aftertone_model.progress import Progress, silent


class TrainingError(AftertoneError):
    """Labels that can't be trained on. The message names the clip and what to change."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """One round's classifier and what is known about it."""

    tuned: FineTuned  # how the training went
    labels: int  # clips trained on
    per_class: tuple[float, ...]  # (C,) labels of each class; soft votes count in parts
    temperature: float  # that the logits were divided by; already in the classifier's weights, 1 = left alone
    metrics: Metrics | None  # on the test set; None without a test clip that has one clear truth
    seconds: float  # wall-clock

    @property
    def classifier(self) -> Wav2Vec2ForSequenceClassification:
        """In eval mode; `save_pretrained` writes a plain transformers model."""
        return self.tuned.classifier


class Learner:
    """Learns a set of classes on one pool. Same inputs and seed, same picks."""

    def __init__(
        self,
        pool: Pool,
        backbone: Wav2Vec2ForPreTraining,
        classes: Sequence[str],
        config: TrainingConfig = PRACTICAL,
        *,
        seed: int = 0,
        device: str = "auto",
        progress: Progress = silent,
    ) -> None:
        """
        Args:
            pool: holds every clip that is spoken of below.
            backbone: the adapted one, or the one to adapt.
            classes: C names, in the order of every label.
            device: "cpu", "cuda", or "auto" for a GPU where there is one.
        """
        self.pool, self.backbone, self.classes, self.config = pool, backbone, tuple(classes), config
        self.progress, self._seed = progress, seed
        self._means: LayerCache | None = None
        self._surprisal: dict[str, NDArray[np.float32]] = {}  # of the present backbone, by clip id
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device

    def adapt(self, clips: Sequence[Clip], folder: Path) -> Adaptation:
        """Task-adaptive pre-training on the clips, without labels; from here on the learner uses what `folder` holds.

        Args:
            folder: complete or absent; where it is complete nothing is trained.
        """
        adaptation = adapt(
            self.pool,
            clips,
            self.backbone,
            suited_settings(self.backbone),
            folder,
            seed=self._seed,
            device=self.device,
            progress=self.progress,
        )
        self.backbone, self._means, self._surprisal = load_backbone(str(folder), seed=self._seed), None, {}
        return adaptation

    def seed(self, clips: Sequence[Clip], k: int | None = None, labelled: Collection[str] = ()) -> Ranking:
        """The order in which to ask before there is a classifier: spread over clusters of the clips.

        Args:
            clips: that may be asked for; those already labelled are left out.
            k: clips to ask for; None is 1 % of them, at least one per cluster.
            labelled: ids of clips that have labels already, whose clusters wait their turn.
        """
        clips = _rows(clips, labelled)
        others = [self.pool.clip(id) for id in sorted(labelled) if id in self.pool]
        representations = self._represent([*clips, *others])  # (N + L, D)
        ranked = SEEDINGS[self.config.seeding](
            representations[: len(clips)],
            k,
            np.random.default_rng(self._seed),
            representations[len(clips) :] if others else None,
        )
        return Ranking.of(clips, ranked, self.config.seeding)

    def train(
        self,
        labels: Mapping[str, NDArray[np.floating]],
        test: Mapping[str, NDArray[np.floating]],
        clips: Sequence[Clip],
        previous: Wav2Vec2ForSequenceClassification | None = None,
    ) -> Training:
        """Fine-tune on all labels so far and measure the result on the test set.

        With enough test clips, a temperature is fitted on them and folded into the last layer: one number, which moves
        no prediction. The calibration error is that of clips whose temperature was fitted without them.

        Args:
            labels: clip id -> (C,) soft label summing to 1.
            test: the same for test clips; none of them is trained on, even if `labels` has it too.
            clips: where the ids are looked up, for length and speaker; the pool knows no speakers.
            previous: the last round's classifier, for recipes that start warm.

        Raises:
            TrainingError: no labels, a label of the wrong shape or sum, or an id that `clips` lacks.
        """
        start = time.monotonic()
        by_id = {clip.id: clip for clip in clips}
        learnt = sorted(labels.keys() - test.keys())
        targets, tested = self._stacked(learnt, labels, by_id), self._stacked(sorted(test), test, by_id)
        if not learnt:
            raise TrainingError("There is no label to train on. Label some clips first.")
        learning = [by_id[id] for id in learnt]
        self._extract([by_id[id] for id in (*learnt, *sorted(test))])
        tuned = finetune(
            self.backbone,
            self.pool,
            learning,
            targets,
            self.classes,
            self.config,
            previous=previous,
            cache=self._layer_means,
            seed=self._seed,
            device=self.device,
            progress=self.progress,
        )
        temperature, metrics = self._evaluate(tuned.classifier, [by_id[id] for id in sorted(test)], tested)
        return Training(
            tuned=tuned,
            labels=len(learnt),
            per_class=tuple(float(count) for count in targets.sum(axis=0)),
            temperature=temperature,
            metrics=metrics,
            seconds=time.monotonic() - start,
        )

    def rank(
        self,
        classifier: Wav2Vec2ForSequenceClassification,
        candidates: Sequence[Clip],
        k: int,
        labelled: Collection[str] = (),
        strategy: str | None = None,
    ) -> Ranking:
        """Score the candidates, each once, and order them by an acquisition strategy.

        Args:
            candidates: that may be asked for; those already labelled are left out.
            k: clips to ask for now, >= 0.
            labelled: ids of clips that have labels.
            strategy: a name in `aftertone_model.acquisition.STRATEGIES`; the config's by default.

        Raises:
            StrategyError: there is no such strategy.
        """
        name = strategy or self.config.strategy
        chosen = find_strategy(name)
        clips = _rows(candidates, labelled)
        scores = self._score(classifier, clips)
        mc = None
        if Requires.MC in chosen.requires:
            mc = dropout_samples(
                classifier,
                scores.embeddings,
                samples=self.config.mc_samples,
                dropout=self.config.dropout,
                seed=self._seed,
            )
        surprisal = None
        if Requires.SURPRISAL in chosen.requires:
            surprisal = self._surprisal_of(clips)
        inputs = Inputs(
            candidates=len(clips),
            probabilities=scores.probabilities,
            mc=mc,
            embeddings=scores.embeddings,
            surprisal=surprisal,
        )
        ranked = chosen.rank(inputs, k, np.random.default_rng(self._seed))
        return Ranking.of(clips, ranked, name, scores.probabilities)

    def predict(self, classifier: Wav2Vec2ForSequenceClassification, clips: Sequence[Clip]) -> NDArray[np.float64]:
        """(N, C) class probabilities of clips, rows in their order; for the stop set and for relabelling."""
        return self._score(classifier, clips).probabilities

    def _surprisal_of(self, clips: Sequence[Clip]) -> NDArray[np.float32]:
        """(N, B) profiles; they are the same in every round, and computed in the first."""
        missing = [clip for clip in clips if clip.id not in self._surprisal]
        if missing:
            found = masked_loss_profiles(self.backbone, self.pool, missing, seed=self._seed, progress=self.progress)
            self._surprisal |= {clip.id: profile for clip, profile in zip(missing, found, strict=True)}
        return np.array([self._surprisal[clip.id] for clip in clips])

    def _score(self, classifier: Wav2Vec2ForSequenceClassification, clips: Sequence[Clip]) -> Scores:
        self._extract(clips)
        classifier.to(self.device)  # pyright: ignore[reportArgumentType] -- transformers' wrapper hides the signature
        return self._run(classifier, clips, "score")

    def _run(self, classifier: Wav2Vec2ForSequenceClassification, clips: Sequence[Clip], stage: str) -> Scores:
        cache = self._layer_means if same_body(classifier, self.backbone) else None
        return score(classifier, self.pool, clips, cache=cache, progress=self.progress, stage=stage)

    @property
    def _layer_means(self) -> LayerCache:
        """Of the present backbone; read from disk once, and again after `adapt`."""
        if self._means is None:
            self._means = LayerCache(self.pool.folder, self.backbone)
        return self._means

    def _evaluate(
        self, classifier: Wav2Vec2ForSequenceClassification, clips: Sequence[Clip], labels: NDArray[np.floating]
    ) -> tuple[float, Metrics | None]:
        """The temperature, after folding it into the classifier, and the test set's metrics."""
        truth = truths(labels)
        clear = np.flatnonzero(truth >= 0)
        if len(clear) == 0:
            return 1.0, None
        tested = [clips[int(row)] for row in clear]
        scores = self._run(classifier, tested, "test")
        temperature, probabilities = 1.0, scores.probabilities
        if len(clear) >= MIN_CLIPS:
            temperature = fit_temperature(scores.logits, labels[clear])
            probabilities = cross_fitted(scores.logits, labels[clear], self._seed)
            with torch.no_grad():
                for parameter in classifier.classifier.parameters():
                    parameter /= temperature
        speakers = [clip.speaker for clip in tested]
        metrics = measure(truth[clear], probabilities, self.classes, speakers=speakers, seed=self._seed)
        return temperature, metrics

    def _represent(self, clips: Sequence[Clip]) -> NDArray[np.float32]:
        """(N, D) what the seed set is clustered on."""
        self._extract(clips)
        represent = hidden_means if self.config.seed_on_transformer else cnn_means
        found = represent(self.backbone, self.pool, clips, progress=self.progress)
        return without_speaker_means(found, [clip.speaker for clip in clips]) if self.config.ignore_speakers else found

    def _stacked(
        self, ids: Sequence[str], labels: Mapping[str, NDArray[np.floating]], by_id: Mapping[str, Clip]
    ) -> NDArray[np.float64]:
        """(N, C) labels of the ids, checked."""
        for id in ids:
            label = np.asarray(labels[id])
            if id not in by_id:
                raise TrainingError(f"Clip {id} has a label but is not among the clips given. Pass the whole pool.")
            if label.shape != (len(self.classes),) or label.min() < 0 or abs(label.sum() - 1) > 1e-3:
                raise TrainingError(
                    f"The label of clip {id} must be {len(self.classes)} shares that sum to 1, not {label.tolist()}."
                )
        return np.array([labels[id] for id in ids], np.float64).reshape(len(ids), len(self.classes))

    def _extract(self, clips: Sequence[Clip]) -> None:
        self.backbone.to(self.device)  # pyright: ignore[reportArgumentType] -- transformers' wrapper hides the signature
        self.pool.extract(self.backbone, clips, self.progress)


def _rows(clips: Sequence[Clip], labelled: Collection[str]) -> list[Clip]:
    """The clips that may be asked for, by id: ties and noise go by row, which must not depend on the day."""
    known = frozenset(labelled)
    return sorted((clip for clip in clips if clip.id not in known), key=lambda clip: clip.id)
