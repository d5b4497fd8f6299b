"""From annotations to votes: what people said about a task, as a person would count it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from aftertone.labelstudio.label_config import Question
from aftertone.labelstudio.tasks import Answer


def count_votes(annotations: Iterable[Mapping[str, Any]], question: Question) -> Answer:
    """Count the votes on one task.

    Cancelled (skipped) annotations are no votes. Each annotator has one vote: their latest annotation, so that an edit
    or a second try replaces the first. Where someone starred annotations as ground truth, only those count.

    Args:
        annotations: a task's annotations as Label Studio exports them.
        question: answers to others are left aside.
    """
    annotations = list(annotations)
    submitted = [a for a in annotations if not a.get("was_cancelled")]
    starred = [a for a in submitted if a.get("ground_truth")]
    latest: dict[Any, Mapping[str, Any]] = {}
    for annotation in sorted(starred or submitted, key=lambda a: (a.get("updated_at") or "", a.get("id") or 0)):
        latest[_annotator(annotation)] = annotation
    by = {str(who): chosen for who, annotation in latest.items() if (chosen := question.chosen(annotation))}
    votes: Counter[str] = Counter()
    for chosen in by.values():
        votes.update(question.schema.vote(chosen))
    voters = sum(any(label in question.classes for label in chosen) for chosen in by.values())
    return Answer(
        votes=dict(votes),
        voters=voters,
        by=by,
        final=bool(starred and by),
        skipped=bool(annotations) and not by,
    )


def _annotator(annotation: Mapping[str, Any]) -> Any:
    who = annotation.get("completed_by")
    return who.get("id") if isinstance(who, Mapping) else who
