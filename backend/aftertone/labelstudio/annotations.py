"""From annotations to labels: what people said about a task, as a person would count it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a task's annotations add up to."""

    votes: Mapping[str, float] = field(
        default_factory=dict
    )  # answer -> annotators who gave it; one who gave two counts half each
    passed: bool = False  # skipped or submitted blank, and nobody answered: no label, and no reason to ask first

    @property
    def given(self) -> bool:
        """Whether anybody answered the question, with whatever label."""
        return bool(self.votes)

    def distribution(self, classes: Sequence[str]) -> NDArray[np.float64] | None:
        """The votes as a soft label over `classes`, summing to 1; None when no vote is for one of them.

        A vote for a label that has left the labelling interface counts for nothing until the label comes back.
        """
        votes = np.array([self.votes.get(name, 0.0) for name in classes])  # (C,)
        total = votes.sum()
        return votes / total if total > 0 else None


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
    return Answer(votes=votes, passed=bool(annotations) and not votes)


def _annotator(annotation: Mapping[str, Any]) -> Any:
    who = annotation.get("completed_by")
    return who.get("id") if isinstance(who, Mapping) else who


def _chosen(annotation: Mapping[str, Any], question: str) -> list[str]:
    chosen: list[str] = []
    for item in annotation.get("result") or ():
        if item.get("from_name") == question and item.get("type") == "choices":
            chosen += [label for label in item.get("value", {}).get("choices", ()) if isinstance(label, str)]
    return list(dict.fromkeys(chosen))
