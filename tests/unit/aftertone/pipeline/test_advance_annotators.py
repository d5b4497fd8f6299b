"""The loop in memory with several annotators: whose answers are learned, and what is shown to them."""

from collections.abc import Callable
from typing import Any

import pytest

from aftertone.errors import LabelStudioError
from aftertone.store.records import InProgress, Sources, Warnings
from aftertone_model.learner import Learner
from tests.unit.aftertone.loops import LABELS, MemoryLoop

MakeLoop = Callable[..., MemoryLoop]


def clip_of(loop: MemoryLoop, task: int) -> str | None:
    return loop.store.get(Sources).sources[f"/data/upload/1/tone-{task}.wav"].clip


@pytest.mark.parametrize("counted", [False, True])
def test_predictions_submitted_as_they_were_shown_count_where_that_is_switched_on(
    make_loop: MakeLoop, counted: bool
) -> None:
    loop = make_loop(24, count_untouched=counted)
    loop.advance()
    for task in loop.last.published[:6]:
        loop.label_studio.annotate(task, LABELS[task % 3], origin="prediction")
    loop.advance()
    assert loop.store.round_numbers() == ([0, 1] if counted else [0])
    (told,) = [found.what for found in loop.store.get(Warnings).findings if found.key == "untouched-answers"]
    assert ("COUNT_UNTOUCHED" in told) == counted
    if not counted:
        loop.label(6)
        loop.advance()
        assert loop.last.labels == 6


def test_with_two_annotators_a_task_complete_clips_alone_are_learned(make_loop: MakeLoop) -> None:
    loop = make_loop(30)
    loop.label_studio.state["project"]["maximum_annotations"] = 2
    loop.advance()
    first = loop.last.published[:9]
    for task in first:
        loop.label_studio.annotate(task, LABELS[task % 3], by=1)
    loop.advance()
    assert loop.store.round_numbers() == [0]
    assert loop.store.get(InProgress) == InProgress(clips=9, needed=2)
    for task in first[:6]:
        loop.label_studio.annotate(task, LABELS[task % 3], by=2)
    loop.advance()
    assert (loop.last.number, loop.last.labels) == (1, 6)
    assert not set(first) & set(loop.last.published)  # nor are those that wait asked for anew
    assert loop.store.get(InProgress).clips == 3


def test_how_much_of_a_batch_chance_draws_can_be_set(make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []
    rank = Learner.rank

    def watched(self: Learner, *given: Any) -> Any:
        shares.append(self.config.random_share)
        return rank(self, *given)

    monkeypatch.setattr(Learner, "rank", watched)
    loop = make_loop(20, random_share=0.5)
    loop.advance()
    loop.label(6)
    loop.advance()
    assert shares == [0.5]


def test_labels_that_are_doubted_are_shown_in_a_tab(make_loop: MakeLoop) -> None:
    loop = make_loop(30, batch_size=18)
    loop.advance()
    order = [task for task in loop.last.published if clip_of(loop, task) not in loop.store.load().test_clips]
    for task in order[:18]:  # the tone tells the class
        loop.label_studio.annotate(task, LABELS[task % 3])
    loop.label_studio.annotate(order[5], LABELS[(order[5] + 1) % 3], by=2)
    loop.store.request_training()
    loop.advance()
    loop.check_queue()
    doubts = [doubt.task for doubt in loop.last.relabel]
    assert doubts == [order[5]]  # a model of eighteen labels is too unsure to doubt another
    (tab,) = loop.label_studio.state["tabs"]
    assert [item["value"] for item in tab["data"]["filters"]["items"]] == sorted(doubts)


def test_a_tab_that_cannot_be_made_holds_nothing_up(make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, **params: Any) -> Any:
        raise LabelStudioError("Label Studio answered 403.")

    loop = make_loop(24)
    monkeypatch.setattr(loop.label_studio, "get", refuse)
    loop.advance()
    loop.check_queue()
