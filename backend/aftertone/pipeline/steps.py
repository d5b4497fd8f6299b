"""The steps that learn: a method's learner at work between a project's labels and its rounds on disk."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aftertone.pipeline import queue
from aftertone.pipeline.dataset import Dataset
from aftertone.pipeline.random_share import random_share
from aftertone.pipeline.relabelling import find_doubts
from aftertone.pipeline.source import read_source
from aftertone.pipeline.stop_advice import stop_advice
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore
from aftertone.store.records import StopSet
from aftertone.store.round_scores import DIGITS
from aftertone.store.rounds import Doubt, Draft, Round, SoftLabels, TrainingRecord, described
from aftertone.store.state import State
from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.classification.pool_map import PoolMap
from aftertone_model.config import PRESETS, tapt_config
from aftertone_model.data.clips import Clip, file_of
from aftertone_model.evaluation.stopping import stop_set
from aftertone_model.labels import LabelSchema
from aftertone_model.learning import AnyLearner
from aftertone_model.memory import peak_memory
from aftertone_model.method_names import CONTRASTIVE
from aftertone_model.methods import METHODS, Place
from aftertone_model.progress import Progress
from aftertone_model.runtime import Runtime, device_name, device_named
from aftertone_model.supervised_contrastive.source import Source
from aftertone_model.training import Training

log = logging.getLogger(__name__)


class LearningSteps:
    """One step of learning for one project. It leaves the store with its result whole, or as it was."""

    def __init__(
        self, store: ProjectStore, state: State, dataset: Dataset, settings: Settings, progress: Progress
    ) -> None:
        self._store, self._state, self._dataset = store, state, dataset
        self._settings, self._progress = settings, progress
        self._began = time.monotonic()

    def adapt(self) -> None:
        """TAPT on every clip of the pool, test clips included, since it sees no label.

        What was adapted from another backbone before stays until this is done.
        """
        before, wanted = self._state.adaptation, self._settings.backbone
        if before is not None and before.of_another(wanted):
            log.info(
                "BACKBONE is %s now, and was %s: it is adapted to the pool", wanted, before.backbone,
                extra={"action": "backbone_changed"},
            )  # fmt: skip
        source = None
        if self._settings.method == CONTRASTIVE:
            source = read_source(self._settings, self._store, self._progress)
        learner = self._learner(backbone=load_backbone(wanted, seed=self._settings.seed), source=source)
        test, known = self._state.test_clips, self._dataset.labels_by(learner.config.votes)
        labels = {clip: label for clip, label in known.items() if file_of(clip) not in test}
        learner.adapt(self._dataset.clips, self._store.adapted, self._store.guard, labels, test)

    def seed(self) -> None:
        """Find the seed set and write it as a round without a model."""
        size = queue.seed_size(self._settings, self._dataset)
        labelled, asked = self._dataset.labelled_clips, self._state.asked
        ranking = self._learner().seed(self._candidates(), queue.picks(self._settings, size), labelled)
        order = queue.build(self._settings, self._dataset, self._state.test_clips, ranking, size, asked=asked)
        record = Round(
            number=0,
            kind="seed",
            created_at=_now(),
            seed=self._settings.seed,
            strategy=ranking.strategy,
            question=self._dataset.question,
            **described(self._dataset.schema),
            batch=size,
            published=order[: queue.length(self._settings, size)],
            seconds={"seed": time.monotonic() - self._began},
            memory=peak_memory(),
        )
        self._store.save_seed(record, queue.score_table(self._dataset, ranking, order, {}))

    def train(self) -> None:
        """Fine-tune on all labels; the model waits in `next/` until it has ranked the pool."""
        with self._store.training_request():
            self._train()

    def _train(self) -> None:
        labels, test = self._dataset.labels, self._state.test_clips
        labelled = {clip: label for clip, label in labels.items() if file_of(clip) not in test}
        tested = {clip: label for clip, label in labels.items() if file_of(clip) in test}
        learner, learned = self._learner(), self._dataset.labels_by(PRESETS[self._settings.preset].votes)
        training = learner.train(
            {clip: learned[clip] for clip in labelled},
            {clip: learned[clip] for clip in tested},
            self._dataset.clips_and_segments,
            self._previous() if learner.goes_on else None,
        )
        draft = Draft(
            method=self._settings.method,
            question=self._dataset.question,
            **described(self._dataset.schema),
            labelled=_as_tuples(labelled),
            tested=_as_tuples(tested),
            metrics=training.metrics,
            plain_metrics=training.plain_metrics,
            training=_training_record(training, self._started_from),
            seconds={"train": time.monotonic() - self._began},
            memory=peak_memory(),
        )
        self._store.save_draft(draft, training.model.save)

    def rank(self) -> None:
        """Score the whole pool with the model that waits and complete its round."""
        with self._store.draft() as (draft, folder):
            model = METHODS[draft.method].load(folder)
        learner = self._learner(draft.label_schema, method=draft.method)
        size = queue.batch_size(self._settings, self._dataset)
        count, strategy = queue.picks(self._settings, size), self._settings.strategy or None
        labelled = [clip for clip in self._dataset.labelled_clips if clip.id in draft.labelled]  # none of the test set
        candidates = [clip for clip in self._candidates() if clip.id not in self._dataset.labels]
        labels = {clip.id: np.array(draft.labelled[clip.id]) for clip in labelled}
        pool_map = PoolMap()
        learner.embedded = pool_map.add
        ranking = learner.rank(model, [*candidates, *labelled], count, labels, strategy)
        asked = set(ranking.order)
        others = [clip for clip in self._dataset.clips_and_segments if clip.id not in asked]
        found = dict(zip((clip.id for clip in others), learner.predict(model, others), strict=True))
        if ranking.predictions is not None:
            found |= dict(zip(ranking.order, ranking.predictions, strict=True))
        learner.embedded = None
        compared = [clip for clip in self._stop_set() if clip in found]
        decisions = draft.label_schema.decisions(np.array([found[clip] for clip in compared])) if compared else []
        doubts: tuple[Doubt, ...] = ()
        if draft.learned(self._dataset.question, self._dataset.schema):
            doubts = find_doubts(learner, self._dataset, draft.labelled.keys(), found, self._settings.seed)
        order = queue.build(
            self._settings, self._dataset, self._state.test_clips, ranking, size, self._servable(doubts),
            self._state.asked,
        )  # fmt: skip
        record = Round(
            **{name: getattr(draft, name) for name in Draft.model_fields if name not in ("seconds", "memory")},
            number=self._state.next_number,
            kind="trained",
            created_at=_now(),
            seed=self._settings.seed,
            strategy=ranking.strategy,
            batch=size,
            published=order[: queue.length(self._settings, size)],
            by_chance={clip: tuple(found[clip].round(DIGITS).tolist()) for clip in sorted(ranking.by_chance)},
            relabel=doubts,
            stops={clip: int(decision) for clip, decision in zip(compared, decisions, strict=True)},
            test_answers={
                clip: draft.label_schema.answer(predictions.tolist())
                for clip, predictions in found.items()
                if file_of(clip) in self._state.test_clips
            },
            seconds={**draft.seconds, "rank": time.monotonic() - self._began},
            memory=max(draft.memory, peak_memory()),
        )
        speakers = {clip.id: clip.speaker for clip in self._dataset.clips_and_segments}
        share = random_share(
            self._state.standing, draft.labelled, draft.label_schema, draft.question, speakers, self._settings.seed
        )
        advice = stop_advice([*self._state.standing, record], speakers, self._settings.seed)
        slope = advice.slope and (advice.slope.value, advice.slope.low, advice.slope.high)
        record = record.model_copy(
            update={
                "advice": advice.sentence,
                "enough": advice.stop,
                "gain": slope,
                "random_share": share,
            }
        )
        table, ids = queue.score_table(self._dataset, ranking, order, found), sorted(self._dataset.entries)
        projection = pool_map.projection(ids, self._settings.seed)
        embeddings = None if projection is None else pool_map.through(projection, ids)
        self._store.complete_round(record, table, embeddings, projection)

    def _previous(self) -> Any:
        """The newest round's model; None where there is none, or another method trained it."""
        if not self._store.has_model():
            return None
        with self._store.round_model() as (number, folder):
            same = self._store.round(number).method == self._settings.method
            return METHODS[self._settings.method].load(folder) if same else None

    def _learner(
        self,
        schema: LabelSchema | None = None,
        backbone: Backbone | None = None,
        method: str = "",
        source: Source | None = None,
    ) -> AnyLearner[Any]:
        """By default it learns by the project's method from the adapted backbone, where there is one."""
        if backbone is None and self._store.adapted.is_dir():
            with self._store.loading_adapted():
                backbone = load_backbone(str(self._store.adapted), seed=self._settings.seed)
        elif backbone is None:
            backbone = load_backbone(self._settings.backbone, seed=self._settings.seed)
        device = device_named(self._settings.device)
        log.info(
            "Project %s: computing on %s", self._store.folder.name, device_name(device), extra={"action": "device"}
        )
        runtime = Runtime(
            pool=self._store.pool,
            device=device,
            seed=self._settings.seed,
            progress=self._progress,
        )
        place = Place(runtime=runtime, preset=self._settings.preset, adapted=self._store.adapted, source=source)
        learner = METHODS[method or self._settings.method].learner(backbone, schema or self._dataset.schema, place)
        learner.config = replace(learner.config, tapt=tapt_config(self._settings.tapt, learner.tapt))
        if self._settings.random_share is not None:
            learner.config = replace(learner.config, random_share=self._settings.random_share)
        return learner

    @property
    def _started_from(self) -> str:
        """Name of the backbone that was adapted."""
        adaptation = self._state.adaptation
        return (adaptation.backbone if adaptation else "") or self._settings.backbone

    def _candidates(self) -> list[Clip]:
        """Clips that the query strategy may choose."""
        return [clip for clip in self._dataset.open_clips if clip.id not in self._state.test_clips]

    def _servable(self, doubts: Sequence[Doubt]) -> list[str]:
        """Clips of these that Label Studio still serves: those with fewer annotators than the project asks for."""
        entries, overlap = self._dataset.entries, self._dataset.overlap
        files = dict.fromkeys(file_of(doubt.clip) for doubt in doubts)
        return [file for file in files if len(entries[file].answers[0].by) < overlap]

    def _stop_set(self) -> Sequence[str]:
        if not (clips := self._store.get(StopSet).clips):
            trainable = (clip.id for clip in self._dataset.clips if clip.id not in self._state.test_clips)
            clips = tuple(stop_set(trainable, seed=self._settings.seed))
            self._store.save(StopSet(clips=clips))
        return clips


def _training_record(training: Training[Any], backbone: str) -> TrainingRecord:
    tuned = training.tuned
    return TrainingRecord(
        tuning=str(tuned.tuning),
        warm=tuned.warm,
        updates=tuned.updates,
        skipped=tuned.skipped,
        retries=tuned.retries,
        collapsed=tuned.collapsed,
        train_accuracy=tuned.train_accuracy,
        losses=tuned.losses,
        per_class=training.per_class,
        temperature=training.temperature,
        backbone=backbone,
    )


def _as_tuples(labels: Mapping[str, NDArray[np.float64]]) -> SoftLabels:
    return {clip: tuple(label.tolist()) for clip, label in labels.items()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
