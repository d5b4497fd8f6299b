"""The plan as a table of cases: what is true -> what to do next."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aftertone.labelstudio.tasks import Answer, Snapshot
from aftertone.pipeline.dataset import join
from aftertone.pipeline.plan import Adapt, Extend, Ingest, Publish, Rank, Seed, Step, Train, Wait, next_step
from aftertone.settings import Settings
from aftertone.store.records import Quiet, Source
from aftertone.store.rounds import Extension, Round
from aftertone.store.state import State
from tests.unit.aftertone.records import ADAPTED, make_round, make_snapshot

NOW = 1_000_000.0
ALL = (1, 2, 3, 4, 5)  # every task of a project
HAPPY, SAD = Answer(votes={"happy": 1}), Answer(votes={"sad": 1})
OPEN = Answer()


def decide(settings: Settings, snapshot: Snapshot, sources: Mapping[str, Source] | None = None, **fields: Any) -> Step:
    decoded = {t.source: Source(clip=f"c{t.id}", seconds=1.0) for t in snapshot.tasks.values()}
    dataset = join(snapshot, decoded if sources is None else sources, NOW)
    state = State(**{"quiet": Quiet(shape=(0, 0), since=0.0), "adaptation": ADAPTED, **fields})
    return next_step(snapshot, dataset, state, settings, NOW)


def serving(record: Round, answers: Mapping[int, Answer]) -> Snapshot:
    stored = {record.version: sum(task in answers for task in record.published)}
    return make_snapshot(answers, model_version=record.version, predictions=stored)


def small(settings: Settings, **fields: Any) -> Settings:
    return settings.model_copy(update={"seed_size": 2, "batch_size": 2, **fields})


def hard(index: int) -> list[float]:
    return np.eye(3)[index].tolist()


class TestBeforeTheFirstRound:
    def test_an_empty_project_waits(self, settings: Settings) -> None:
        assert isinstance(decide(settings, make_snapshot(0)), Wait)

    def test_new_tasks_are_fetched(self, settings: Settings) -> None:
        snapshot = make_snapshot(3)
        assert decide(settings, snapshot, {}) == Ingest(tasks=tuple(snapshot.tasks.values()))

    def test_an_import_that_still_grows_is_waited_for(self, settings: Settings) -> None:
        step = decide(settings, make_snapshot(3), quiet=Quiet(shape=(3, 3), since=NOW - 5), adaptation=None)
        assert step == Wait(why="tasks are still being imported", seconds=settings.settle_seconds - 5)

    def test_a_settled_import_is_adapted_to(self, settings: Settings) -> None:
        assert decide(settings, make_snapshot(3), adaptation=None) == Adapt()

    def test_another_backbone_is_adapted_anew(self, settings: Settings) -> None:
        other = replace(ADAPTED, backbone="facebook/hubert-base-ls960")
        assert decide(settings, make_snapshot(3), adaptation=other) == Adapt()
        assert decide(settings, make_snapshot(3), adaptation=replace(other, backbone=settings.backbone)) == Seed()

    def test_then_comes_the_seed_set(self, settings: Settings) -> None:
        assert decide(settings, make_snapshot(3)) == Seed()

    def test_a_project_that_brings_labels_is_trained_at_once(self, settings: Settings) -> None:
        assert decide(small(settings), make_snapshot({1: HAPPY, 2: SAD, 3: OPEN})) == Train()

    def test_only_unusable_audio_waits_for_people(self, settings: Settings) -> None:
        broken = {"/a/1": Source(error="not audio")}
        assert isinstance(decide(settings, make_snapshot(1), broken), Wait)


class TestFetching:
    def test_audio_that_failed_for_good_is_left_alone(self, settings: Settings) -> None:
        sources = {"/a/1": Source(clip="c1", seconds=1.0), "/a/2": Source(error="not audio", at=0.0)}
        assert decide(settings, make_snapshot(2), sources) == Seed()

    @pytest.mark.parametrize(("ago", "again"), [(5.0, False), (3600.0, True)])
    def test_a_failed_download_is_tried_again_later(self, settings: Settings, ago: float, again: bool) -> None:
        failed = Source(error="timeout", retry=True, at=NOW - ago)
        assert isinstance(decide(settings, make_snapshot(1), {"/a/1": failed}), Ingest) is again

    def test_a_download_that_failed_holds_up_no_round(self, settings: Settings) -> None:
        failed = Source(error="timeout", retry=True, at=NOW - 3600)
        sources = {"/a/1": Source(clip="c1", seconds=1.0), "/a/2": failed}
        assert decide(settings, make_snapshot(2), sources) == Seed()
        seed = make_round(0)
        waiting = serving(seed, {1: OPEN, 2: OPEN})
        again = decide(settings, waiting, sources, rounds=(seed,), current=0)
        assert isinstance(again, Ingest)
        assert [task.id for task in again.tasks] == [2]


class TestTheQueue:
    def test_a_round_that_nobody_is_served_is_published(self, settings: Settings) -> None:
        assert decide(settings, make_snapshot(3), rounds=(make_round(0),)) == Publish(number=0)

    def test_publishing_comes_before_fetching(self, settings: Settings) -> None:
        assert decide(settings, make_snapshot(3), {}, rounds=(make_round(0),)) == Publish(number=0)

    def test_a_newer_round_replaces_the_served_one(self, settings: Settings) -> None:
        old, new = make_round(0), make_round(1)
        assert decide(settings, serving(old, {1: OPEN}), rounds=(new,), current=0) == Publish(number=1)

    @pytest.mark.parametrize("field", ["sampling", "model_version"])
    def test_a_queue_that_was_unset_in_label_studio_is_mended(self, settings: Settings, field: str) -> None:
        record = make_round(0)
        snapshot = make_snapshot(3, **{"model_version": record.version, field: "something else"})
        assert decide(settings, snapshot, rounds=(record,), current=0) == Publish(number=0)

    @pytest.mark.parametrize("stored", [0, 2, 6])
    def test_predictions_that_are_gone_or_doubled_are_published_again(self, settings: Settings, stored: int) -> None:
        record = make_round(0)
        snapshot = make_snapshot(3, model_version=record.version, predictions={record.version: stored})
        assert decide(settings, snapshot, rounds=(record,), current=0) == Publish(number=0)

    def test_a_round_whose_tasks_are_all_deleted_is_not_published_again(self, settings: Settings) -> None:
        record = make_round(0)
        assert decide(settings, make_snapshot({9: OPEN}), rounds=(record,), current=0) == Extend(number=0)
        extension = Extension(round=record.version, part=1, published=(1, 9))
        told = {"rounds": (record,), "current": 0, "extension": extension}
        snapshot = make_snapshot({8: HAPPY})
        assert isinstance(decide(settings, snapshot, **told), Wait)

    @pytest.mark.parametrize(
        ("left", "more", "extends"),
        [(4, 5, False), (2, 5, True), (0, 5, True), (2, 0, False), (0, 0, False)],
    )
    def test_a_queue_that_ends_is_extended_by_what_there_is(
        self, settings: Settings, left: int, more: int, extends: bool
    ) -> None:
        """Half a batch before its end, whether or not labels suffice for a round."""
        record = make_round(0, batch=4, published=tuple(range(1, 9)))
        answers = {i: (HAPPY, SAD)[i % 2] if i <= 8 - left else OPEN for i in range(1, 9)}
        answers |= dict.fromkeys(range(9, 9 + more), OPEN)
        step = decide(settings, serving(record, answers), rounds=(record,), current=0)
        assert (step == Extend(number=0)) is extends

    def test_an_extension_counts_as_the_queue_of_its_round_alone(self, settings: Settings) -> None:
        record = make_round(0, batch=2)
        extension = Extension(round=record.version, part=1, published=(3, 4, 5))
        told = {"rounds": (record,), "current": 0, "extension": extension}
        answers = {1: HAPPY, 2: HAPPY, 3: OPEN, 4: OPEN, 5: OPEN}
        assert decide(settings, serving(record, answers), **told) == Publish(number=0)
        extended = make_snapshot(answers, model_version=extension.version, predictions={extension.version: 3})
        assert isinstance(decide(settings, extended, **told), Wait)
        assert decide(settings, extended, **{**told, "rounds": (record, make_round(1))}) == Publish(number=1)


class TestLabels:
    @pytest.mark.parametrize(
        ("answers", "step"),
        [
            ({1: HAPPY, 2: OPEN, 3: OPEN}, Wait),  # too few
            ({1: HAPPY, 2: SAD, 3: OPEN}, Train),  # as many as the round waits for
            ({1: HAPPY, 2: HAPPY, 3: OPEN}, Wait),  # one class can't be learned from
            ({1: HAPPY, 2: Answer(votes={"bored": 1}), 3: OPEN}, Wait),  # not a class any more
            ({1: HAPPY, 2: Answer(skipped=True), 3: OPEN}, Wait),  # a skip is no label
        ],
    )
    def test_labels_since_the_seed_set(self, settings: Settings, answers: dict[int, Answer], step: type[Step]) -> None:
        record = make_round(0)
        assert isinstance(decide(settings, serving(record, answers), rounds=(record,), current=0), step)

    def test_test_labels_alone_teach_nothing(self, settings: Settings) -> None:
        record = make_round(0)
        snapshot = serving(record, {1: HAPPY, 2: SAD, 3: OPEN})
        assert isinstance(decide(settings, snapshot, rounds=(record,), current=0, held_out={"c1": True}), Wait)

    @pytest.mark.parametrize(
        ("answers", "step"),
        [
            ({1: HAPPY, 2: SAD, 3: OPEN, 4: OPEN}, Wait),  # nothing new
            ({1: HAPPY, 2: SAD, 3: SAD, 4: OPEN}, Wait),  # one new label
            ({1: HAPPY, 2: SAD, 3: SAD, 4: HAPPY, 5: OPEN}, Train),  # two new labels
            ({1: SAD, 2: HAPPY, 3: OPEN, 4: OPEN}, Train),  # two edited labels
            ({1: HAPPY, 2: OPEN, 3: SAD, 4: OPEN}, Train),  # one deleted and one new
            ({1: HAPPY, 2: SAD, 3: SAD}, Train),  # nothing is left to ask for
        ],
    )
    def test_labels_since_a_trained_round(
        self, settings: Settings, answers: dict[int, Answer], step: type[Step]
    ) -> None:
        record = make_round(1, kind="trained", labelled={"c1": hard(1), "c2": hard(2)}, published=ALL)
        assert isinstance(decide(settings, serving(record, answers), rounds=(record,), current=1), step)

    def test_start_training_needs_one_new_label(self, settings: Settings) -> None:
        record = make_round(1, kind="trained", labelled={"c1": hard(1), "c2": hard(2)}, published=ALL)
        told = {"rounds": (record,), "current": 1, "train_requested": True}
        assert isinstance(decide(settings, serving(record, {1: HAPPY, 2: SAD, 3: OPEN}), **told), Wait)
        assert decide(settings, serving(record, {1: HAPPY, 2: SAD, 3: SAD, 4: OPEN}), **told) == Train()

    def test_a_changed_set_of_classes_is_trained_at_once(self, settings: Settings) -> None:
        labelled = {"c1": [1.0, 0.0], "c2": [0.0, 1.0]}
        record = make_round(1, kind="trained", labelled=labelled, classes=("happy", "sad"))
        assert decide(settings, serving(record, {1: HAPPY, 2: SAD, 3: OPEN}), rounds=(record,), current=1) == Train()

    @pytest.mark.parametrize(("question", "step"), [("mood", Train), ("emotion", Wait), ("", Wait)])
    def test_another_question_with_the_same_classes_is_trained_at_once(
        self, settings: Settings, question: str, step: type[Step]
    ) -> None:
        labelled = {"c1": hard(1), "c2": hard(2)}
        record = make_round(1, kind="trained", labelled=labelled, question=question)
        found = decide(settings, serving(record, {1: HAPPY, 2: SAD, 3: OPEN}), rounds=(record,), current=1)
        assert isinstance(found, step)

    def test_a_trained_model_ranks_the_pool_before_anything_else_is_learned(self, settings: Settings) -> None:
        record = make_round(0)
        snapshot = serving(record, {1: HAPPY, 2: SAD, 3: OPEN})
        assert decide(settings, snapshot, rounds=(record,), current=0, trained=True) == Rank()
