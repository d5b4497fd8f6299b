"""`aftertone clean`: gives disk back, project by project, never while a worker is at one."""

from collections.abc import Iterator, Sequence

from aftertone.doctor.disk import size
from aftertone.labelstudio.client import LabelStudio, RefusedError
from aftertone.pipeline.pruning import leftovers, prune
from aftertone.store.exports import ExportFolder
from aftertone.store.leftovers import size_on_disk
from aftertone.store.project import Store
from aftertone_model.data.files import remove

NOT_FOUND = 404
BUSY = "a worker is at it, and cleans it by itself once a day; try again later"
EXPORTING = "an export of it is being made, which takes some minutes; try again later"


def clean_projects(store: Store, numbers: Sequence[int], *, dry_run: bool) -> Iterator[str]:
    """Remove what the projects no longer need. Yields a line per project and per kind of what goes."""
    store.sweep()
    for number in numbers:
        if not store.project(number).folder.exists():
            yield f"Project {number}: nothing is kept of it."
            continue
        with store.project(number).only_writer() as project:
            if project is None:
                yield f"Project {number}: {BUSY}."
                continue
            found = leftovers(project, cautious=False)
            counts: dict[str, tuple[int, int]] = {}
            for one in found:
                files, taken = counts.get(one.why, (0, 0))
                counts[one.why] = (files + 1, taken + size_on_disk(one.path))
            freed = sum(taken for _, taken in counts.values()) if dry_run else prune(project, found)
            yield f"Project {number}: {size(freed)} {'would be ' * dry_run}freed."
            yield from (f"  {why}: {files}, {size(taken)}" for why, (files, taken) in counts.items())


def deleted_projects(label_studio: LabelStudio, numbers: Sequence[int]) -> Iterator[int]:
    """Those projects of which Label Studio says that they don't exist.

    Raises:
        LabelStudioError: it can't be asked, or says anything else of one.
    """
    label_studio.whoami()  # so that it is a Label Studio that says so, and knows the token
    for number in numbers:
        try:
            label_studio.project(number)
        except RefusedError as error:
            if error.status != NOT_FOUND:
                raise
            yield number


def forget_project(store: Store, number: int, *, dry_run: bool) -> str:
    """Remove all that is kept of a project. Returns a line on what was done."""
    folder = store.project(number).folder
    taken = size(size_on_disk(folder))
    if dry_run:
        return (
            f"Project {number}: Label Studio at LABEL_STUDIO_URL has no such project, or its user may not see it. "
            f"{folder} takes {taken}; add --yes to remove it with its rounds for good."
        )
    with store.project(number).only_writer() as project:
        if project is None:
            return f"Project {number}: {BUSY}."
        if ExportFolder(project).held:
            return f"Project {number}: {EXPORTING}."
        remove(folder)
    return f"Project {number}: {folder} is removed, {taken} freed."
