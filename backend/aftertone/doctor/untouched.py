"""Answers that no person gave, as people are told of them: how many there are, and what that means for the queue."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from aftertone.labelstudio.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Untouched:
    """Annotations that leave a prediction as it was shown, or were made of one."""

    annotations: int
    made: int  # of these, by "Create annotations from predictions"
    tasks: int  # tasks that have no other answer

    def as_json(self) -> dict[str, Any]:
        """For `aftertone status --json`."""
        return asdict(self)


def find_untouched(tasks: Iterable[Task]) -> Untouched:
    """Count them over a project's tasks."""
    found = [task for task in tasks if task.answer.untouched]
    return Untouched(
        annotations=sum(task.answer.untouched for task in found),
        made=sum(len(task.made) for task in found),
        tasks=sum(not task.answer.given for task in found),
    )


def untouched_warning(tasks: Iterable[Task], *, counted: bool, prelabel: bool) -> str:
    """A sentence or three for people; '' where there is nothing to say.

    Args:
        counted: whether they count as labels (COUNT_UNTOUCHED).
        prelabel: whether annotators are shown the model's label (PRELABEL).
    """
    found = find_untouched(tasks)
    if not found.annotations:
        return ""
    made = f' ("Create annotations from predictions" made {found.made} of them)' if found.made else ""
    what = f"{found.annotations} annotations leave the model's label as it was shown{made}."
    if counted:
        return (
            f"{what} They count as labels, since COUNT_UNTOUCHED is set, so figures on the test set flatter the model."
        )
    done = (
        f" Label Studio takes {found.tasks} tasks that have no other answer for done and serves them to nobody: delete "
        "these annotations in its Data Manager to have the tasks asked for again."
    )
    shown = " PRELABEL shows it; where agreeing with it is an answer, set COUNT_UNTOUCHED." if prelabel else ""
    return f"{what} They are neither trained nor tested on.{shown}{done if found.tasks else ''}"
