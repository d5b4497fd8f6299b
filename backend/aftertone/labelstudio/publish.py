"""Putting a round at the head of the annotators' queue; a kill between any two steps changes nothing for them."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from aftertone.errors import LabelStudioError
from aftertone.labelstudio.client import UNCERTAINTY, LabelStudio
from aftertone.labelstudio.label_config import Question
from aftertone.labelstudio.snapshot import Snapshot
from aftertone.store.rounds import VERSION_PREFIX, Round

log = logging.getLogger(__name__)


def publish(record: Round, snapshot: Snapshot, label_studio: LabelStudio, guesses: Mapping[int, str]) -> None:
    """Make Label Studio serve the round's tasks in the round's order.

    The new version is stored whole before the project points to it, and the old one is deleted after; so annotators are
    served one round or the other at every moment, and doing any part twice leaves no prediction doubled.

    Args:
        record: the round; its tasks that were deleted since are left out.
        guesses: the model's answer for tasks that shall show one; {} to rank only, which sways nobody.

    Raises:
        TasksVanishedError: tasks were deleted meanwhile; read the project again and repeat.
        LabelStudioError: Label Studio can't be reached or stored less than it was sent.
    """
    project, version = snapshot.project, record.version
    rows = predictions(record, snapshot, guesses)
    if not rows:
        return  # everything is labelled: no order is left to serve
    counts = label_studio.prediction_counts(project)
    if counts.get(version, 0) != len(rows):
        if version in counts:
            label_studio.delete_version(project, version)
        created = label_studio.import_predictions(project, rows)
        if created != len(rows):
            raise LabelStudioError(
                f"Label Studio stored {created} of {len(rows)} predictions. Its log says which it found invalid; "
                "usually the labelling interface was changed a moment ago, and the next attempt succeeds."
            )
    if snapshot.model_version != version or snapshot.sampling != UNCERTAINTY:
        label_studio.update_project(project, sampling=UNCERTAINTY, model_version=version)
    for old in counts:
        if old.startswith(VERSION_PREFIX) and old != version:
            label_studio.delete_version(project, old)
    log.info(
        "Project %d: annotators are served round %d (%d tasks)", project, record.number, len(rows),
        extra={"action": "round_published", "project": project, "round": record.number},
    )  # fmt: skip


def predictions(record: Round, snapshot: Snapshot, guesses: Mapping[int, str]) -> list[dict[str, Any]]:
    """The rows to import: ascending scores in (0, 1), all different, lowest for the task to ask first."""
    places = len(record.published) + 1
    return [
        {
            "task": task,
            "model_version": record.version,
            "score": rank / places,
            "result": _result(guesses.get(task), snapshot.question),
        }
        for rank, task in enumerate(record.published, 1)
        if task in snapshot.tasks
    ]


def _result(guess: str | None, question: Question) -> Sequence[Mapping[str, Any]]:
    if guess is None or guess not in question.classes:
        return []
    value = {"choices": [guess]}
    return [{"from_name": question.control, "to_name": question.audio, "type": "choices", "value": value}]
