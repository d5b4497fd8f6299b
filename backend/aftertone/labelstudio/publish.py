"""Putting a ranking at the head of the annotators' queue; a kill between any two steps changes nothing for them."""

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from types import MappingProxyType
from typing import Any

from aftertone.errors import LabelStudioError
from aftertone.labelstudio.client import LabelStudio
from aftertone.labelstudio.tasks import UNCERTAINTY, VERSION_PREFIX, Snapshot
from aftertone.labelstudio.untouched import as_prediction
from aftertone_model.data.files import Guard

OURS = re.compile(rf"{VERSION_PREFIX}\d+-")  # a version that a round was published under
ANSWERS = re.compile(r"(guess|hidden)-(?P<round>\d{3,}-[0-9a-f]{6})")  # one that /predict answered under
AT_ONCE = 500  # predictions: deleting a version keeps SQLite's write lock for 4 ms each, and annotators wait
ONE_BY_ONE = 300  # deletions of 70 ms each, between which annotators get their turn


def publish(
    label_studio: LabelStudio,
    snapshot: Snapshot,
    version: str,
    order: Sequence[int],
    shown: Mapping[int, Sequence[str]],
    guard: Guard = nullcontext,
    seconds: Mapping[int, float] = MappingProxyType({}),
) -> None:
    """Make Label Studio serve tasks in an order.

    The new version is stored whole before the project points to it, and the old one is deleted after; so annotators are
    served one ranking or the other at every moment, and doing any part twice leaves no prediction doubled. Only
    versions that were there at the beginning are deleted, so that one of a later writer is left alone. What /predict
    answered in earlier rounds is deleted too; of many such answers a part, and the rest by later rounds.

    Args:
        version: model_version of this ranking; begins with VERSION_PREFIX and belongs to no other.
        order: task ids, highest priority first; tasks that were deleted since are left out.
        shown: the model's answer for tasks that shall show one; {} to rank only, which avoids anchoring annotators.
        guard: entered right before each change in Label Studio; raising there prevents it.
        seconds: duration of tasks' audio, which an answer about regions needs to be shown.

    Raises:
        TasksVanishedError: tasks were deleted meanwhile; read the project again and repeat.
        LabelStudioError: Label Studio can't be reached or stored less than it was sent.
    """
    project = snapshot.project
    rows = predictions(snapshot, version, order, shown, seconds)
    if not rows:
        return  # everything is labelled: no order is left to serve
    counts = label_studio.prediction_counts(project)
    if counts.get(version, 0) != len(rows):
        if version in counts:
            _check(guard)
            label_studio.delete_version(project, version)
        _check(guard)
        created = label_studio.import_predictions(project, rows)
        if created != len(rows):
            raise LabelStudioError(
                f"Label Studio stored {created} of {len(rows)} predictions. Its log says which it found invalid; "
                "usually the label config was changed a moment ago, and the next attempt succeeds."
            )
    if not snapshot.serves(version):
        _check(guard)
        label_studio.update_project(project, sampling=UNCERTAINTY, model_version=version)
    for old in counts:
        if OURS.match(old) and old != version:
            _check(guard)
            label_studio.delete_version(project, old)
    _delete_answers(label_studio, project, version, counts, guard)


def predictions(
    snapshot: Snapshot,
    version: str,
    order: Sequence[int],
    shown: Mapping[int, Sequence[str]],
    seconds: Mapping[int, float] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """The rows to import: ascending scores in (0, 1), all different, lowest for the task to ask first."""
    return [
        {
            "task": task,
            "model_version": version,
            "score": rank / (len(order) + 1),
            "result": as_prediction(snapshot.question.result(shown.get(task, ()), seconds.get(task))),
        }
        for rank, task in enumerate(order, 1)
        if task in snapshot.tasks
    ]


def _delete_answers(
    label_studio: LabelStudio, project: int, version: str, counts: Mapping[str, int], guard: Guard
) -> None:
    """Delete what /predict answered for other rounds than that of `version`; those that tasks' forms show first."""
    old = {v for v in counts if (match := ANSWERS.fullmatch(v)) and version != VERSION_PREFIX + match["round"]}
    for answers in sorted(old):
        if counts[answers] <= AT_ONCE:
            _check(guard)
            label_studio.delete_version(project, answers)
            old.remove(answers)
    if old:
        left = [row for row in label_studio.predictions(project) if row["model_version"] in old]
        for row in sorted(left, key=lambda row: not row["result"])[:ONE_BY_ONE]:
            _check(guard)
            label_studio.delete_prediction(row["id"])


def _check(guard: Guard) -> None:
    with guard():
        pass
