from aftertone.labelstudio.publish import predictions
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
    assert rows[0]["result"] == [{"from_name": "emotion", "to_name": "audio", "type": "choices", "value": value}]
    assert rows[1]["result"] == rows[2]["result"] == []
