"""Answers that no person gave: a shown prediction left as it was, or annotations that Label Studio made of predictions.

Label Studio marks each item of an annotation with its origin: `manual`, `prediction-changed`, or `prediction` where a
form came filled in and was submitted as it was. "Create annotations from predictions" copies a prediction as it is,
with no time that anybody spent on it; predictions of ours carry the mark themselves, so that a copy is known for good.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

PREDICTION = "prediction"
BY_PEOPLE = ("manual", "prediction-changed")


def as_prediction(result: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A prediction's result with the mark that copies of it keep."""
    return [{**item, "origin": PREDICTION} for item in result]


def made_from_predictions(annotations: Iterable[Mapping[str, Any]], known: Collection[int] = ()) -> tuple[int, ...]:
    """Ids of the annotations that "Create annotations from predictions" made, blank ones too.

    Label Studio forgets which prediction one came from when that is deleted, so what was found before is handed back.

    Args:
        annotations: a task's, as Label Studio exports them.
        known: ids that an earlier call found in the task.
    """
    return tuple(a["id"] for a in annotations if _has_no_author(a) or (a["id"] in known and not _by_people(a)))


def touched(annotation: Mapping[str, Any], made: Collection[int]) -> dict[str, Any]:
    """The annotation with the items alone that a person set. A star makes all of it a person's word.

    Args:
        made: what `made_from_predictions` found in the task.
    """
    if annotation.get("ground_truth"):
        return dict(annotation)
    items = () if annotation.get("id") in made else annotation.get("result") or ()
    return {**annotation, "result": [item for item in items if item.get("origin") != PREDICTION]}


def _has_no_author(annotation: Mapping[str, Any]) -> bool:
    return (
        annotation.get("parent_prediction") is not None
        and annotation.get("lead_time") is None
        and not annotation.get("was_cancelled")
        and not _by_people(annotation)
    )


def _by_people(annotation: Mapping[str, Any]) -> bool:
    return any(item.get("origin") in BY_PEOPLE for item in annotation.get("result") or ())
