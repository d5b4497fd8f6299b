"""Whether the task that Label Studio opened was the one whose turn it was."""

from collections.abc import Collection, Sequence

from aftertone.labelstudio.tasks import VERSION_PREFIX

IN_ORDER = "in order"
HELD = "held"  # Label Studio gives somebody the task again that they left open
SHARED = "shared"  # two who ask at the same moment are given the same task: Label Studio looks first and locks later
SWITCHING = "switching"  # the queue changed at that very moment: either order may show, or for an instant none
NO_ROUND = "no round yet"
EXHAUSTED = "exhausted"  # everything published is labelled or open: Label Studio picks at random
EMPTY = "empty"  # everything in the project is labelled or open
WRONG = "out of order"
UNPUBLISHED = "no longer published"


def verdict(
    task: int | None,
    versions: tuple[str, str],
    published: Sequence[int] | None,
    *,
    labelled: Collection[int],
    taken: Collection[int],
    held: int | None,
    unsure: int,
    ever_published: bool,
) -> str:
    """One of the words above.

    Args:
        task: that was opened; None where nothing was left.
        versions: the project's model_version right before and right after.
        published: the order of the round of that version, None where no round has it.
        labelled: tasks whose annotation Label Studio has confirmed.
        taken: tasks that somebody has submitted, confirmed or not, or that are open in front of somebody else.
        held: the task that the annotator has open already.
        unsure: annotators who may hold a task without anybody knowing, since the answer to them was lost.
        ever_published: whether a round of the project was served before.
    """
    before, after = versions
    if task is None:
        return EMPTY
    if task == held:
        return HELD
    if before != after:
        return SWITCHING
    if published is None:
        return UNPUBLISHED if ever_published or after.startswith(VERSION_PREFIX) else NO_ROUND
    waiting = [one for one in published if one not in taken or one == task]
    if task in waiting[: unsure + 1] and task not in labelled:
        return SHARED if task in taken else IN_ORDER
    if len(waiting) <= unsure and task not in published:
        return EXHAUSTED
    return WRONG
