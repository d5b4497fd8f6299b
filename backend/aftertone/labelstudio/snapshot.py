"""What is true in Label Studio now, read as cheaply as possible and kept between reads."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aftertone.labelstudio.annotations import Answer, count_votes
from aftertone.labelstudio.client import LabelStudio
from aftertone.labelstudio.label_config import Question, parse_label_config
from aftertone.settings import Settings
from aftertone_model.data.files import read_json, write_json

FULL_READ = 2_000  # changed tasks from which on one full read is cheaper than many small ones
OVERLAP = timedelta(seconds=5)  # a change may become visible a little after the moment it carries


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task: where its audio lies and what people have answered."""

    id: int
    source: str  # address of the audio as the task holds it; may carry a signature, so it never reaches a log
    speaker: str | None = None
    updated_at: str = ""  # ISO 8601, Label Studio's clock
    annotations: int = 0  # submitted annotations, skips not counted
    answer: Answer = field(default_factory=Answer)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A project at one moment."""

    project: int
    title: str
    question: Question
    tasks: Mapping[int, Task]
    sampling: str  # project setting: how "Label All Tasks" orders the queue
    model_version: str  # project setting: whose predictions order it; '' when unset
    overlap: int  # project setting: annotations that each task asks for
    webhook_urls: tuple[str, ...]  # addresses that are told about changes


def read_snapshot(label_studio: LabelStudio, project: int, settings: Settings, memory: Path) -> Snapshot:
    """Read a project: only what changed since the last read, which `memory` (a JSON file) holds.

    Tasks that changed are found by their `updated_at`; tasks that vanished, and annotations that became visible too
    late for that, show as a wrong count, which leads to a full read. So one more label in a project of 100,000 tasks
    costs a few small requests.

    Raises:
        LabelStudioError: Label Studio can't be read.
        LabelConfigError: the project asks no question that Aftertone can learn.
    """
    raw = label_studio.project(project)
    question = parse_label_config(raw["label_config"])
    audio_field = settings.audio_field or question.field
    shape = [question.control, audio_field, settings.speaker_field]
    kept = read_json(memory, default={})
    tasks = {row["id"]: _task_from_json(row) for row in kept.get("tasks", ())} if kept.get("shape") == shape else {}
    known = dict(tasks)

    def parse(exported: Mapping[str, Any]) -> Task:
        data = exported["data"]
        source = data.get(audio_field) or data.get("$undefined$") or ""
        speaker = data.get(settings.speaker_field)
        return Task(
            id=exported["id"],
            source=source if isinstance(source, str) else "",
            speaker=str(speaker) if speaker not in (None, "") else None,
            updated_at=exported["updated_at"],
            annotations=sum(not a.get("was_cancelled") for a in exported["annotations"]),
            answer=count_votes(exported["annotations"], question.control),
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
    miscounted = total != sum(task.annotations for task in tasks.values()) and total != kept.get("total")
    if len(changed) > FULL_READ or len(tasks) != raw["task_number"] or miscounted:
        tasks = {row["id"]: parse(row) for row in label_studio.export(project)}
    if tasks != known or kept.get("shape") != shape or kept.get("total") != total:
        kept = {"shape": shape, "total": total, "tasks": [asdict(task) for task in tasks.values()]}
        write_json(memory, kept, private=True)  # addresses of audio may be signed
    return Snapshot(
        project=project,
        title=raw["title"],
        question=question,
        tasks=dict(sorted(tasks.items())),
        sampling=raw.get("sampling") or "",
        model_version=raw.get("model_version") or "",
        overlap=raw.get("maximum_annotations") or 1,
        webhook_urls=tuple(label_studio.webhook_urls(project)),
    )


def kept_tasks(memory: Path) -> list[Task]:
    """The tasks as `read_snapshot` last kept them; [] before the first read."""
    return [_task_from_json(row) for row in read_json(memory, default={}).get("tasks", ())]


def _task_from_json(row: Mapping[str, Any]) -> Task:
    return Task(**{**row, "answer": Answer(**row["answer"])})


def _before(moment: str) -> str:
    # Label Studio's filter understands this one form.
    return (datetime.fromisoformat(moment).astimezone(UTC) - OVERLAP).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _same_moment(first: str, second: str) -> bool:
    return datetime.fromisoformat(first) == datetime.fromisoformat(second)
