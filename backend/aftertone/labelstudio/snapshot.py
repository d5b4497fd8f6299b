"""What is true in Label Studio now, read as cheaply as possible; nothing is written."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aftertone.errors import LabelStudioError
from aftertone.labelstudio.annotations import count_votes
from aftertone.labelstudio.client import LabelStudio
from aftertone.labelstudio.label_config import parse_label_config
from aftertone.labelstudio.tasks import Snapshot, Task, TaskCache

FULL_READ = 2_000  # changed tasks from which on one full read is cheaper than many small ones
OVERLAP = timedelta(seconds=5)  # a change may become visible a little after the moment it carries


def read_snapshot(
    label_studio: LabelStudio, project: int, cache: TaskCache, *, audio_field: str = "", speaker_field: str = ""
) -> tuple[Snapshot, TaskCache]:
    """Read a project: only what changed since the last read. Returns it with the cache for the next read.

    Tasks that changed are found by their `updated_at`; tasks that vanished, and annotations that became visible too
    late for that, show as a wrong count, which leads to a full read. So one more label in a project of 100,000 tasks
    costs a few small requests.

    Args:
        cache: what the last read returned; an empty one before the first.
        audio_field: key of a task's data that holds the audio; '': what the label config says.
        speaker_field: key of a task's data that names the speaker.

    Raises:
        LabelStudioError: Label Studio can't be read.
        LabelConfigError: the project asks no question that Aftertone can learn.
    """
    try:
        return _read(label_studio, project, cache, audio_field, speaker_field)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise LabelStudioError(
            f"Label Studio's reply about project {project} is empty or of another form than expected "
            f"({type(error).__name__}: {error}). It is asked again; if this stays, check that LABEL_STUDIO_URL is the "
            "address of Label Studio itself and not of a proxy that answers for it."
        ) from error


def _read(
    label_studio: LabelStudio, project: int, cache: TaskCache, audio_field: str, speaker_field: str
) -> tuple[Snapshot, TaskCache]:
    raw = label_studio.project(project)
    question = parse_label_config(raw["label_config"])
    audio_field = audio_field or question.field
    shape = (question.control, question.schema.kind, audio_field, speaker_field)
    tasks = {task.id: task for task in cache.tasks} if cache.shape == shape else {}

    def parse(exported: Mapping[str, Any]) -> Task:
        data = exported["data"]
        source = data.get(audio_field) or data.get("$undefined$") or ""
        speaker = data.get(speaker_field)
        return Task(
            id=exported["id"],
            source=_whole(source) if isinstance(source, str) else "",
            speaker=str(speaker) if speaker not in (None, "") else None,
            updated_at=exported["updated_at"],
            annotations=sum(not a.get("was_cancelled") for a in exported["annotations"]),
            answer=count_votes(exported["annotations"], question),
        )

    total = raw.get("total_annotations_number")
    changed: list[int] = []
    if tasks:
        moments = label_studio.tasks_changed_since(project, _before(max(task.updated_at for task in tasks.values())))
        changed = [
            i for i, moment in moments.items() if i not in tasks or not _same_moment(tasks[i].updated_at, moment)
        ]
        if len(changed) <= FULL_READ:
            tasks |= {row["id"]: parse(row) for row in label_studio.export(project, changed)}
    miscounted = total != sum(task.annotations for task in tasks.values()) and total != cache.total
    if len(changed) > FULL_READ or len(tasks) != raw["task_number"] or miscounted:
        tasks = {row["id"]: parse(row) for row in label_studio.export(project)}
    tasks = dict(sorted(tasks.items()))
    snapshot = Snapshot(
        project=project,
        title=raw["title"],
        question=question,
        tasks=tasks,
        sampling=raw.get("sampling") or "",
        model_version=raw.get("model_version") or "",
        overlap=raw.get("maximum_annotations") or 1,
        webhook_urls=tuple(label_studio.webhook_urls(project)),
    )
    return snapshot, TaskCache(shape=shape, total=total, tasks=tuple(tasks.values()))


def _whole(text: str) -> str:
    """The text with half characters, which JSON can hold and no file, replaced by question marks."""
    return text.encode(errors="replace").decode()


def _before(moment: str) -> str:
    # Label Studio's filter understands this one form.
    return (datetime.fromisoformat(moment).astimezone(UTC) - OVERLAP).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _same_moment(first: str, second: str) -> bool:
    return datetime.fromisoformat(first) == datetime.fromisoformat(second)
