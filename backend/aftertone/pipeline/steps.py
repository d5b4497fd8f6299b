"""The steps that learn: `model.Learner` at work between a project's labels and its rounds on disk."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aftertone.errors import StoreError
from aftertone.pipeline.dataset import Dataset
from aftertone.pipeline.plan import batch_size, seed_size
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore
from aftertone.store.round_scores import Score, write_scores
from aftertone.store.rounds import Round, read_metrics
from aftertone_model.acquisition.ranking import Ranking
from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.classification.classifier import load_classifier
from aftertone_model.config import PRESETS
from aftertone_model.data.files import read_json, whole_folder, write_json
from aftertone_model.evaluation.stopping import Milestone, advise, stop_set
from aftertone_model.evaluation.test_split import with_test_clips
from aftertone_model.learner import Learner, Training
from aftertone_model.progress import Progress

Labels = Mapping[str, NDArray[np.float64]]


class LearningSteps:
    """One step of learning for one project. It leaves the store with its result whole, or as it was."""

    def __init__(self, store: ProjectStore, dataset: Dataset, settings: Settings, progress: Progress) -> None:
        self._store = store
        self._ledger = dataset
        self._settings = settings
        self._progress = progress
        self._exam = {clip for clip, in_exam in store.exam().items() if in_exam}
        self._began = time.monotonic()

    def adapt(self) -> None:
        """TAPT on every clip of the pool, exam clips included, since it sees no label."""
        self._learner().adapt(self._ledger.clips, self._store.adapted)

    def seed(self) -> None:
        """Find the seed set and write it as a round without a model."""
        candidates = [clip for clip in self._ledger.open_clips if clip.id not in self._exam]
        size = seed_size(self._settings, len(self._ledger.entries), len(self._ledger.classes))
        ranking = self._learner().seed(candidates, self._picks(size), self._ledger.labels)
        record = Round(
            number=0,
            kind="seed",
            created_at=_now(),
            seed=self._settings.seed,
            strategy=ranking.strategy,
            classes=self._ledger.classes,
            batch=size,
            published=self._queue(ranking, size),
            seconds={"seed": time.monotonic() - self._began},
        )
        with whole_folder(self._store.round_folder(0)) as folder:
            write_json(folder / "round.json", record.to_json())
            write_scores(folder / "scores.csv", self._table(ranking, record.published, {}), ())

    def train(self) -> None:
        """Fine-tune on all labels; the model waits in `next/` until it has ranked the pool."""
        self._store.forget_training_request()
        labels = self._ledger.labels
        taught = {clip: label for clip, label in labels.items() if clip not in self._exam}
        examined = {clip: label for clip, label in labels.items() if clip in self._exam}
        previous = None
        if PRESETS[self._settings.preset].warm_start and (folder := self._last_model()) is not None:
            previous = load_classifier(folder)
        training = self._learner().train(taught, examined, self._ledger.clips, previous)
        draft = {
            "classes": self._ledger.classes,
            "labelled": _as_lists(taught),
            "examined": _as_lists(examined),
            "exam": asdict(training.metrics) if training.metrics is not None else None,
            "training": _account(training),
            "seconds": {"train": time.monotonic() - self._began},
        }
        with whole_folder(self._store.next) as folder:
            training.classifier.save_pretrained(folder / "model")
            write_json(folder / "draft.json", draft)

    def rank(self) -> None:
        """Score the whole pool with the model that waits and complete its round."""
        draft = read_json(self._store.next / "draft.json")
        classifier = load_classifier(self._store.next / "model")
        learner = self._learner(classes=draft["classes"])
        candidates = [clip for clip in self._ledger.open_clips if clip.id not in self._exam]
        size = batch_size(self._settings, len(self._ledger.entries))
        strategy = self._settings.strategy or None
        ranking = learner.rank(classifier, candidates, self._picks(size), self._ledger.labels, strategy)
        asked = set(ranking.order)
        others = [clip for clip in self._ledger.clips if clip.id not in asked]
        guesses = dict(zip((clip.id for clip in others), learner.predict(classifier, others), strict=True))
        if ranking.probabilities is not None:
            guesses |= dict(zip(ranking.order, ranking.probabilities, strict=True))
        stops = {clip: int(guesses[clip].argmax()) for clip in self._stop_set() if clip in guesses}
        number = max(self._store.round_numbers(), default=0) + 1
        record = Round(
            **{key: draft[key] for key in ("labelled", "examined", "training")},
            exam=read_metrics(draft["exam"]),
            number=number,
            kind="trained",
            created_at=_now(),
            seed=self._settings.seed,
            strategy=ranking.strategy,
            classes=tuple(draft["classes"]),
            batch=size,
            published=self._queue(ranking, size),
            stops=stops,
            seconds={**draft["seconds"], "rank": time.monotonic() - self._began},
        )
        earlier = [self._store.round(n) for n in self._store.round_numbers()]
        record = replace(record, advice=_advice([*earlier, record]))
        write_json(self._store.next / "round.json", record.to_json())
        write_scores(self._store.next / "scores.csv", self._table(ranking, record.published, guesses), record.classes)
        self._store.complete_round(number)

    def _learner(self, classes: Sequence[str] | None = None) -> Learner:
        adapted = str(self._store.adapted) if self._store.adapted.is_dir() else self._settings.backbone
        backbone = load_backbone(adapted, seed=self._settings.seed)
        return Learner(
            self._store.pool,
            backbone,
            tuple(classes or self._ledger.classes),
            PRESETS[self._settings.preset],
            seed=self._settings.seed,
            device=self._settings.device,
            progress=self._progress,
        )

    def _picks(self, batch: int) -> int:
        """How many of a batch acquisition chooses; the rest is the exam's."""
        return max(1, round(batch * (1 - self._settings.test_share)))

    def _queue(self, ranking: Ranking, batch: int) -> tuple[int, ...]:
        """Tasks to publish: ranked clips with exam clips mixed in, then clips that were passed over."""
        order = list(ranking.order)
        if self._settings.test_share > 0:
            exam = [clip.id for clip in self._ledger.open_clips if clip.id in self._exam]
            order = with_test_clips(order, exam, share=self._settings.test_share, seed=self._settings.seed)
        order += [clip.id for clip in self._ledger.passed_clips]
        return tuple(self._ledger.entries[clip].tasks[0] for clip in order[: batch * self._settings.queue_factor])

    def _table(self, ranking: Ranking, published: Sequence[int], guesses: Labels) -> list[Score]:
        """A line per task, ask-first first, then the clips that aren't asked for."""
        ranks = {task: rank for rank, task in enumerate(published, 1)}
        rows = {clip: row for row, clip in enumerate(ranking.order)}
        scores = []
        for entry in self._ledger.entries.values():
            row = rows.get(entry.clip.id)
            scores += [
                Score(
                    task=task,
                    clip=entry.clip.id,
                    rank=ranks.get(task),
                    acquisition=float(ranking.scores[row]) if row is not None else None,
                    cluster=None if row is None or ranking.clusters is None else int(ranking.clusters[row]),
                    probabilities=tuple(map(float, guesses.get(entry.clip.id, ()))),
                )
                for task in entry.tasks
            ]
        return sorted(scores, key=lambda score: (score.rank is None, score.rank or 0, score.task))

    def _stop_set(self) -> list[str]:
        if not (clips := self._store.stop_set()):
            clips = stop_set((c.id for c in self._ledger.clips if c.id not in self._exam), seed=self._settings.seed)
            self._store.save_stop_set(clips)
        return clips

    def _last_model(self) -> Path | None:
        try:
            return self._store.model_folder()
        except StoreError:
            return None


def _advice(rounds: Sequence[Round]) -> str:
    newest = rounds[-1]
    milestones = [
        Milestone(
            labels=len(record.labelled),
            per_class=tuple((record.training or {})["per_class"]),
            predictions=tuple(record.stops[clip] for clip in newest.stops if clip in record.stops),
            metrics=record.exam,
        )
        for record in rounds
        # Rounds about other classes, or other clips, don't compare.
        if record.kind == "trained" and record.classes == newest.classes and record.stops.keys() >= newest.stops.keys()
    ]
    return advise(milestones, newest.classes).sentence


def _account(training: Training) -> dict[str, Any]:
    tuned = training.tuned
    return {
        "depth": tuned.depth.value,
        "warm": tuned.warm,
        "updates": tuned.updates,
        "retries": tuned.retries,
        "collapsed": tuned.collapsed,
        "train_accuracy": tuned.train_accuracy,
        "losses": tuned.losses,
        "per_class": training.per_class,
        "temperature": training.temperature,
    }


def _as_lists(labels: Labels) -> dict[str, list[float]]:
    return {clip: label.tolist() for clip, label in labels.items()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
