from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from aftertone.errors import LeaseLostError
from aftertone.labelstudio import publish as module
from aftertone.labelstudio.publish import predictions, publish
from tests.unit.aftertone.fake_label_studio import FakeLabelStudio
from tests.unit.aftertone.records import make_snapshot

VERSION = "aftertone-000-abcdef"


def test_scores_ascend_inside_0_and_1_and_are_unique() -> None:
    rows = predictions(make_snapshot(3), VERSION, (3, 1, 2), {})
    assert [row["task"] for row in rows] == [3, 1, 2]
    scores = [row["score"] for row in rows]
    assert scores == sorted(set(scores))
    assert 0 < scores[0] < scores[-1] < 1
    assert all(row["result"] == [] for row in rows)


def test_deleted_tasks_leave_the_others_where_they_were() -> None:
    whole = predictions(make_snapshot(9), VERSION, (3, 9, 2), {})
    rest = predictions(make_snapshot(3), VERSION, (3, 9, 2), {})
    assert rest == [whole[0], whole[2]]


def test_a_guess_is_shown_only_where_it_is_a_class() -> None:
    rows = predictions(make_snapshot(3), VERSION, (1, 2, 3), {1: ("happy",), 2: ("bored",)})
    value = {"choices": ["happy"]}
    shown = {"from_name": "emotion", "to_name": "audio", "type": "choices", "value": value}
    assert rows[0]["result"] == [{**shown, "origin": "prediction"}]
    assert rows[1]["result"] == rows[2]["result"] == []


def test_other_rounds_are_deleted_and_the_versions_of_others_are_not() -> None:
    label_studio = FakeLabelStudio(tasks=3)
    versions = ("aftertone-000-abcdef", "aftertone-002-aaaaaa", "aftertone-003-abcdef", "aftertone-mine", "gpt")
    label_studio.state["predictions"] = [{"task": 1, "model_version": version, "score": 0.5} for version in versions]
    publish(label_studio, make_snapshot(3), "aftertone-002-bbbbbb", (1, 2, 3), {})
    assert label_studio.prediction_counts(1) == {"aftertone-002-bbbbbb": 3, "aftertone-mine": 1, "gpt": 1}


def test_what_predict_answered_in_earlier_rounds_is_deleted() -> None:
    label_studio = FakeLabelStudio(tasks=3)
    versions = ("guess-000-abcdef", "hidden-001-abcdef", "guess-002-bbbbbb", "hidden-002-bbbbbb", "guess-work", "gpt")
    label_studio.state["predictions"] = [{"task": 1, "model_version": version, "score": 0.5} for version in versions]
    publish(label_studio, make_snapshot(3), "aftertone-002-bbbbbb", (1, 2, 3), {})
    left = {"guess-002-bbbbbb", "hidden-002-bbbbbb", "guess-work", "gpt", "aftertone-002-bbbbbb"}
    assert label_studio.prediction_counts(1).keys() == left


def test_many_old_answers_are_deleted_a_few_at_a_time_what_is_shown_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotators wait for as long as one deletion lasts."""
    monkeypatch.setattr(module, "AT_ONCE", 3)
    monkeypatch.setattr(module, "ONE_BY_ONE", 4)
    label_studio = FakeLabelStudio(tasks=9)
    item = {"from_name": "emotion"}
    label_studio.state["predictions"] = [
        {"task": task, "model_version": "guess-000-abcdef", "score": 0.5, "result": [item] if task > 6 else []}
        for task in range(1, 10)
    ]
    publish(label_studio, make_snapshot(9), "aftertone-001-bbbbbb", (1, 2, 3), {})
    left = [row for row in label_studio.state["predictions"] if row["model_version"] == "guess-000-abcdef"]
    assert len(left) == 5
    assert not any(row["result"] for row in left)
    assert label_studio.calls.count("delete_version") == 0
    for number in (2, 3):
        publish(label_studio, make_snapshot(9), f"aftertone-00{number}-bbbbbb", (1, 2, 3), {})
    assert label_studio.prediction_counts(1) == {"aftertone-003-bbbbbb": 3}


def test_what_a_later_writer_publishes_meanwhile_is_left_alone() -> None:
    class Shared(FakeLabelStudio):
        def update_project(self, project: int, **values: Any) -> None:
            super().update_project(project, **values)
            super().import_predictions(project, [{"task": 1, "model_version": "aftertone-001-abcdef", "score": 0.5}])

    label_studio = Shared(tasks=3)
    publish(label_studio, make_snapshot(3), VERSION, (1, 2, 3), {})
    assert label_studio.prediction_counts(1) == {VERSION: 3, "aftertone-001-abcdef": 1}


def test_each_change_in_label_studio_is_guarded() -> None:
    label_studio = FakeLabelStudio(tasks=3)
    label_studio.state["predictions"] = [{"task": 1, "model_version": VERSION, "score": 0.5}]
    entered: list[int] = []

    @contextmanager
    def guard() -> Iterator[None]:
        entered.append(len(label_studio.calls))
        yield

    publish(label_studio, make_snapshot(3), VERSION, (1, 2, 3), {}, guard)
    assert entered == list(range(len(label_studio.calls))) == [0, 1, 2]

    def refuse() -> AbstractContextManager[None]:
        raise LeaseLostError("The project was taken away.")

    with pytest.raises(LeaseLostError):
        publish(label_studio, make_snapshot(3), "aftertone-001-abcdef", (1, 2, 3), {}, refuse)
    assert len(label_studio.calls) == 3
