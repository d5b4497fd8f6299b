"""What annotators marked and answered, from the forms in which Label Studio stores regions."""

from typing import Any

import pytest

from aftertone.labelstudio.annotations import count_votes, list_work
from aftertone.labelstudio.label_config import parse_label_config
from aftertone_model.votes.regions import Region
from tests.label_configs import AUDIO, MARK, choices

LABELS = parse_label_config(
    f'<View>{AUDIO}<Labels name="emotion" toName="audio"><Label value="happy"/><Label value="sad"/></Labels></View>'
)
CHOICES = parse_label_config(f"<View>{AUDIO}{MARK}{choices('happy', 'sad', perRegion='true')}</View>")


def item(
    start: Any, end: Any, *labels: str, name: str = "emotion", kind: str = "labels", **more: Any
) -> dict[str, Any]:
    span = {} if start is None else {"start": start, "end": end}
    return {"from_name": name, "to_name": "audio", "type": kind, "value": {**span, kind: list(labels)}, **more}


def region(start: float, end: float, *chosen: str) -> Region:
    return Region(start=start, end=end, chosen=chosen)


def annotation(*items: dict[str, Any], by: int = 1, **fields: Any) -> dict[str, Any]:
    return {"id": by, "completed_by": by, "result": list(items), "updated_at": f"2026-01-0{by}", **fields}


def test_labels_mark_a_region_and_answer_at_once() -> None:
    given = annotation(item(0, 1.5, "happy", id="a"), item(2.25, 3, "sad", id="b"))
    assert LABELS.marked(given) == (region(0, 1.5, "happy"), region(2.25, 3, "sad"))
    assert LABELS.chosen(given) == ("happy", "sad")


@pytest.mark.parametrize(
    "answer",
    [
        item(1, 2, "sad", kind="choices", id="r"),
        item(None, None, "sad", kind="choices", id="r"),
        item(None, None, "sad", kind="choices", id="other", parentID="r"),
    ],
    ids=["with start and end", "by id", "by parentID"],
)
def test_choices_are_about_the_region_that_they_belong_to(answer: dict[str, Any]) -> None:
    mark = item(1, 2, "part", name="region", id="r")
    assert CHOICES.marked(annotation(mark, answer)) == (region(1, 2, "sad"),)
    assert CHOICES.marked(annotation(answer, mark)) == (region(1, 2, "sad"),)


@pytest.mark.parametrize(
    "items",
    [
        [],
        [item(1, 2, "part", name="region", id="r")],
        [item(None, None, "sad", kind="choices", id="r")],
        [item(1, 2, name="emotion", kind="choices", id="r")],
        [item("1", 2, "sad", kind="choices", id="r")],
        [item(float("nan"), 2, "sad", kind="choices", id="r")],
        [{"type": "relation", "from_id": "r", "to_id": "r"}],
    ],
    ids=["nothing", "no answer", "no region", "blank answer", "no number", "not a number", "relation"],
)
def test_without_a_region_and_an_answer_there_is_no_label(items: list[dict[str, Any]]) -> None:
    given = annotation(*items)
    assert CHOICES.marked(given) == CHOICES.chosen(given) == ()
    answer = count_votes([given], CHOICES)
    assert answer.skipped
    assert not answer.given


def test_each_annotators_regions_are_kept_apart_in_order_of_who_came_first() -> None:
    first = annotation(item(0, 1, "happy", id="a"), by=1, updated_at="2026-02-01")
    second = annotation(item(0, 1, "sad", id="a"), item(1, 2, "sad", id="b"), by=2)
    answer = count_votes([second, first], LABELS)
    assert list(answer.regions.items()) == [
        ("1", (region(0, 1, "happy"),)),
        ("2", (region(0, 1, "sad"), region(1, 2, "sad"))),
    ]
    assert answer.by == {"1": ("happy",), "2": ("sad",)}
    assert answer.votes == {"happy": 1, "sad": 2}
    assert [work.regions for work in list_work([first], LABELS)] == [(region(0, 1, "happy"),)]
    assert count_votes([{**first, "was_cancelled": True}], LABELS).regions == {}


def test_a_region_that_was_shown_and_left_as_it_was_is_no_answer() -> None:
    shown, own = item(0, 4, "happy", id="whole", origin="prediction"), item(1, 2, "sad", id="b", origin="manual")
    answer = count_votes([annotation(shown, own)], LABELS)
    assert answer.regions == {"1": (region(1, 2, "sad"),)}
    assert not count_votes([annotation(shown)], LABELS).given
    assert count_votes([annotation(shown)], LABELS, count_untouched=True).given
