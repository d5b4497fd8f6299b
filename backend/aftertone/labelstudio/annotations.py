"""Choices as Label Studio's JSON has them: counted as votes where people gave them, made where the model gives one."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aftertone.labelstudio.tasks import Answer

if TYPE_CHECKING:
    from aftertone.labelstudio.label_config import Question  # brings the SDK


def choice(question: "Question", label: str | None) -> list[dict[str, Any]]:
    """A prediction's `result` that shows one label; empty where there is none, or the label config has lost it."""
    if label not in question.classes:
        return []
    value = {"choices": [label]}
    return [{"from_name": question.control, "to_name": question.audio, "type": "choices", "value": value}]


def count_votes(annotations: Iterable[Mapping[str, Any]], question: str) -> Answer:
    """Count the votes on one task.

    Cancelled (skipped) annotations are no votes. Each annotator has one vote: their latest annotation, so that an edit
    or a second try replaces the first. Where someone starred annotations as ground truth, only those count.

    Args:
        annotations: a task's annotations as Label Studio exports them.
        question: name of the Choices tag; answers to other questions are left aside.
    """
    annotations = list(annotations)
    submitted = [a for a in annotations if not a.get("was_cancelled")]
    starred = [a for a in submitted if a.get("ground_truth")]
    latest: dict[Any, Mapping[str, Any]] = {}
    for annotation in sorted(starred or submitted, key=lambda a: (a.get("updated_at") or "", a.get("id") or 0)):
        latest[_annotator(annotation)] = annotation
    votes: dict[str, float] = {}
    for annotation in latest.values():
        chosen = _chosen(annotation, question)
        for label in chosen:
            votes[label] = votes.get(label, 0.0) + 1 / len(chosen)
    return Answer(votes=votes, skipped=bool(annotations) and not votes)


def _annotator(annotation: Mapping[str, Any]) -> Any:
    who = annotation.get("completed_by")
    return who.get("id") if isinstance(who, Mapping) else who


def _chosen(annotation: Mapping[str, Any], question: str) -> list[str]:
    chosen: list[str] = []
    for item in annotation.get("result") or ():
        if item.get("from_name") == question and item.get("type") == "choices":
            chosen += [label for label in item.get("value", {}).get("choices", ()) if isinstance(label, str)]
    return list(dict.fromkeys(chosen))
