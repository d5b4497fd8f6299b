from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from aftertone.labelstudio.tasks import Task, Work
from aftertone.pipeline.annotators import describe_annotators, find_annotators

START = datetime(2026, 1, 1, tzinfo=UTC)


def work(who: str, chosen: str = "", minute: float = 0, seconds: float | None = 4.0, **fields: Any) -> Work:
    at = (START + timedelta(minutes=minute)).isoformat()
    return Work(
        annotator=who, at=at, changed=at, seconds=seconds, chosen=(chosen,) if chosen else (), **fields
    )  # fmt: skip


def task(number: int, *done: Work) -> Task:
    return Task(id=number, source=f"/a/{number}", work=done)


def test_each_annotators_figures() -> None:
    found = find_annotators(
        [
            task(1, work("1", "happy", seconds=2), work("2", "happy", 1)),
            task(2, work("1", "sad", 2, seconds=3), work("2", "happy", 3)),
            task(3, work("1", "sad", 4, seconds=9)),
            task(4, work("1", minute=5, skipped=True)),
            task(5),
        ]
    )
    first, second = found.each
    assert (first.annotator, first.labels, first.skipped, first.seconds) == ("1", 3, 0.25, 3)
    assert (first.agreement, first.compared) == (0.5, 2)
    assert (second.labels, second.skipped, second.agreement) == (2, 0.0, 0.5)
    assert found.alpha == pytest.approx(0.0)
    assert (first.gold, first.tired) == (0, ())


def test_starred_tasks_of_others_are_the_examination() -> None:
    star = work("9", "happy", starred=True)
    found = find_annotators(
        [
            task(1, star, work("1", "happy")),
            task(2, star, work("1", "sad"), work("2", "happy")),
            task(3, work("1", "sad", starred=True)),  # one's own examines nobody
        ]
    )
    examined = {one.annotator: (one.right, one.gold) for one in found.each}
    assert examined == {"1": (1, 2), "2": (1, 1), "9": (0, 0)}


def test_the_last_answer_of_an_annotator_counts() -> None:
    found = find_annotators([task(1, work("1", "sad"), work("2", "happy", 1), work("1", "happy", 2))])
    assert [one.agreement for one in found.each] == [1, 1]


def test_who_tires_is_named_and_the_colleague_is_not() -> None:
    rng = np.random.default_rng(0)
    tasks = []
    for number in range(200):
        true = "abcd"[rng.integers(4)]
        answers = []
        for who, right, seconds in (("1", 0.9, 6.0), ("2", 0.9, 6.0), ("3", 0.9 if number < 150 else 0.25, 6.0)):
            said = true if rng.random() < right else "abcd"[rng.integers(4)]
            answers.append(work(who, said, number, seconds * (1 if who != "3" or number < 150 else 0.2)))
        tasks.append(task(number, *answers))
    found = find_annotators(tasks)
    tired = {one.annotator: one.tired for one in found.each}
    assert tired == {"1": (), "2": (), "3": ("agrees with others much less of late", "hurries of late")}
    shown = describe_annotators(found.as_json())
    assert shown[0].startswith("annotators' agreement: Krippendorff's alpha 0.")
    assert "hurries of late" in "\n".join(shown)
    assert len(shown) == 4


def test_one_annotator_alone_is_not_spoken_of() -> None:
    found = find_annotators([task(1, work("1", "happy"))])
    assert describe_annotators(found.as_json()) == []
    assert found.alpha is None
    assert find_annotators([]).each == ()


def test_of_ratings_near_values_agree_and_nothing_is_said_of_equal_ones() -> None:
    tasks = [task(n, work("1", f"valence={n % 5 + 1}"), work("2", f"valence={n % 5 + 1.1}")) for n in range(1, 21)]
    found = find_annotators(tasks, rated=True)
    assert found.alpha is not None
    assert found.alpha > 0.99
    assert {(one.agreement, one.compared, one.gold) for one in found.each} == {(None, 0, 0)}
    assert describe_annotators(found.as_json())[0].startswith("annotators' agreement: Krippendorff's alpha 1.00")
