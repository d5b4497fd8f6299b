"""What is true in Label Studio now, read as cheaply as possible; nothing is written."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aftertone.errors import LabelStudioError
from aftertone.labelstudio.annotations import count_votes, list_work, well_formed
from aftertone.labelstudio.attributes import read_attributes
from aftertone.labelstudio.client import LabelStudio
from aftertone.labelstudio.label_config import parse_label_config
from aftertone.labelstudio.tasks import Snapshot, Task, TaskCache
from aftertone.labelstudio.untouched import made_from_predictions

WHOLE = 30_000  # tasks up to which one request reads all; Label Studio takes 1 ms for each, and proxies wait for 60 s
OVERLAP = timedelta(seconds=5)  # a change may become visible a little after the moment it carries
NO_FIELDS: Mapping[str, str] = {}


def read_snapshot(
    label_studio: LabelStudio,
    project: int,
    cache: TaskCache,
    *,
    question: str = "",
    classes: tuple[str, ...] = (),
    audio_field: str = "",
    speaker_field: str = "",
    recording_field: str = "",
    count_untouched: bool = False,
    attributes: Mapping[str, str] = NO_FIELDS,
) -> tuple[Snapshot, TaskCache]:
    """Read a project: only what changed since the last read. Returns it with the cache for the next read.

    Tasks that changed are found by their `updated_at`; tasks that vanished, and annotations that became visible too
    late for that, show as a wrong count, which leads to a full read. So one more label in a project of 100,000 tasks
    costs a few small requests. What was changed in the last seconds before a read is asked for once more by the next.

    Args:
        cache: what the last read returned; an empty one before the first.
        question: name of the tag in the label config that is learned; '': see `parse_label_config`.
        classes: of a question whose choices each task brings along.
        audio_field: key of a task's data that holds the audio; '': what the label config says.
        speaker_field: key of a task's data that names the speaker.
        recording_field: key of a task's data that names the recording its audio was cut from.
        count_untouched: whether predictions that were left as they were shown are votes.
        attributes: keys of a task's data by the attribute of the clip that they tell, where their names don't.

    Raises:
        LabelStudioError: Label Studio can't be read.
        LabelConfigError: the project asks no question that Aftertone can learn.
    """
    try:
        asked, fields = (question, classes), (audio_field, speaker_field, recording_field)
        return _read(label_studio, project, cache, asked, fields, count_untouched, attributes)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise LabelStudioError(
            f"Label Studio's reply about project {project} is empty or of another form than expected "
            f"({type(error).__name__}: {error}). It is asked again; if this stays, check that LABEL_STUDIO_URL is the "
            "address of Label Studio itself and not of a proxy that answers for it."
        ) from error


def _read(
    label_studio: LabelStudio,
    project: int,
    cache: TaskCache,
    asked: tuple[str, tuple[str, ...]],
    fields: tuple[str, str, str],
    count_untouched: bool,
    attribute_fields: Mapping[str, str],
) -> tuple[Snapshot, TaskCache]:
    raw = label_studio.project(project)
    asked_at = label_studio.answered_at
    question = parse_label_config(raw["label_config"], *asked)
    audio_field, speaker_field, recording_field = fields[0] or question.field, *fields[1:]
    counting = "untouched predictions are votes" if count_untouched else "votes by people"
    shape = (question.control, question.schema.kind, audio_field, *fields[1:], counting, "who did what when")
    shape += ("by path",) * question.by_path + ("of regions",) * (question.regions is not None)
    shape += ("attributes", *(f"{name}={field}" for name, field in sorted(attribute_fields.items())))
    shape += tuple(f"{asked.attribute} by {asked.name}" for asked in question.attributes)
    made_before = {task.id: task.made for task in cache.tasks if task.made}
    tasks = {task.id: task for task in cache.tasks} if cache.shape == shape else {}

    def parse(exported: Mapping[str, Any]) -> Task:
        data = exported["data"]
        source = data.get(audio_field) or data.get("$undefined$") or ""
        annotations = [well_formed(annotation) for annotation in exported["annotations"]]
        made = made_from_predictions(annotations, made_before.get(exported["id"], ()))
        return Task(
            id=exported["id"],
            source=_whole(source) if isinstance(source, str) else "",
            speaker=_named(data.get(speaker_field)),
            recording=_named(data.get(recording_field)),
            updated_at=exported["updated_at"],
            annotations=sum(not a.get("was_cancelled") for a in annotations),
            answer=count_votes(annotations, question, made=made, count_untouched=count_untouched),
            work=list_work(annotations, question, made=made, count_untouched=count_untouched),
            made=made,
            attributes=read_attributes(data, annotations, question.attributes, attribute_fields, made),
        )

    def export(moments: Mapping[int, str], known: Mapping[int, Task]) -> dict[int, Task]:
        changed = [i for i, moment in moments.items() if i not in known or not _same_moment(known[i], moment)]
        return {row["id"]: parse(row) for row in label_studio.export(project, changed)}

    def miscounted() -> bool:
        total = raw.get("total_annotations_number")
        return total not in (cache.total, sum(task.annotations for task in tasks.values()))

    if tasks:
        tasks |= export(label_studio.task_moments(project, cache.read_to), tasks)
        if miscounted() or len(tasks) != raw["task_number"]:
            raw = label_studio.project(project)  # what changed in this moment may be read, but not counted yet
        if miscounted():
            tasks = {}
    if len(tasks) != raw["task_number"]:
        if raw["task_number"] <= WHOLE:
            tasks = {row["id"]: parse(row) for row in label_studio.export(project)}
        else:
            moments = label_studio.task_moments(project)
            tasks = {i: task for i, task in tasks.items() if i in moments} | export(moments, tasks)
    tasks = dict(sorted(tasks.items()))
    snapshot = Snapshot(
        project=project,
        title=raw["title"],
        question=question,
        label_config=raw["label_config"],
        tasks=tasks,
        sampling=raw.get("sampling") or "",
        model_version=raw.get("model_version") or "",
        predictions=label_studio.prediction_counts(project),
        overlap=raw.get("maximum_annotations") or 1,
        webhooks=label_studio.webhooks(project),
        trains_every=raw.get("min_annotations_to_start_training") or 0,
        evaluates=bool(raw.get("evaluate_predictions_automatically")),
        shows_predictions=raw.get("show_collab_predictions") is not False,
        skip_queue=raw.get("skip_queue") or "",
    )
    read_to = _read_to(tasks.values(), asked_at, cache.read_to if cache.shape == shape else "")
    total = raw.get("total_annotations_number")
    return snapshot, TaskCache(shape=shape, total=total, read_to=read_to, tasks=tuple(tasks.values()))


def _read_to(tasks: Collection[Task], asked_at: datetime | None, before: str) -> str:
    """The moment up to which every change must have been visible when the tasks were asked for.

    Args:
        asked_at: Label Studio's clock just before; None where it isn't known.
        before: what the last read came to.
    """
    if not tasks:
        return before
    newest = datetime.fromisoformat(max(task.updated_at for task in tasks)).astimezone(UTC)
    # Past the newest change there is nothing to gain, and a clock that runs ahead would leave changes out.
    read_to = min(newest, (asked_at or newest) - OVERLAP)
    # Label Studio's filter understands this one form.
    return max(before, read_to.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


def _named(value: Any) -> str | None:
    return _whole(str(value)) if value not in (None, "") else None


def _whole(text: str) -> str:
    """The text with half characters, which JSON can hold and no file, replaced by question marks."""
    return text.encode(errors="replace").decode()


def _same_moment(task: Task, moment: str) -> bool:
    return datetime.fromisoformat(task.updated_at) == datetime.fromisoformat(moment)
