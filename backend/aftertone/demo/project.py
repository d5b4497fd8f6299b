"""One Label Studio project: its label config, its tasks, its connection to Aftertone."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import httpx

from aftertone.labelstudio.client import LabelStudio, RefusedError

LABEL_CONFIG = Path(__file__).with_name("label_config.xml")  # a link to the one at the top
CHUNK = 250  # tasks that are imported at once: about a second


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """One row of a project."""

    id: int
    audio: str  # the address Label Studio serves the clip at, relative to its own
    labelled: bool  # whether somebody has submitted an answer


def label_config(labels: Iterable[str] = ()) -> str:
    """The default label config, with those of `labels` added that it lacks.

    Added choices have no hotkey of their own: Label Studio numbers them on.
    """
    text = LABEL_CONFIG.read_text()
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.fromstring(text, parser)
    choices = root.find("Choices")
    assert choices is not None, f"{LABEL_CONFIG} has no Choices"
    present = {choice.get("value") for choice in choices}
    missing = [label for label in labels if label not in present]
    if not missing:
        return text
    for label in missing:
        ElementTree.SubElement(choices, "Choice", value=label)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def create_project(label_studio: LabelStudio, *, title: str, config: str, audio: Path) -> int:
    """Make a project that may serve the files below `audio`, a subfolder of the server's documents; returns its id."""
    project = label_studio.post("/api/projects", {"title": title, "label_config": config})["id"]
    storage = {"project": project, "title": "audio", "path": str(audio), "use_blob_urls": True}
    label_studio.post("/api/storages/localfiles", storage)
    return int(project)


def served_at(documents: Path, clip: Path) -> str:
    """Where Label Studio serves `clip`, a file below `documents`."""
    return f"/data/local-files/?d={quote(clip.relative_to(documents).as_posix())}"


def import_tasks(
    label_studio: LabelStudio,
    project: int,
    tasks: Iterable[Mapping[str, str]],
    imported: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Add the tasks whose audio the project doesn't hold yet, so that an import cut short can be done again.

    Args:
        imported: called with the number done and the number to do.
    """
    present = {task.audio for task in list_tasks(label_studio, project)}
    missing = [dict(data) for data in tasks if data["audio"] not in present]
    for start in range(0, len(missing), CHUNK):
        label_studio.post(f"/api/projects/{project}/import", missing[start : start + CHUNK])
        imported(min(start + CHUNK, len(missing)), len(missing))


def list_tasks(label_studio: LabelStudio, project: int) -> list[TaskRow]:
    """Every task of the project, by id."""
    rows = sorted(label_studio.tasks(project), key=lambda row: row["id"])
    return [TaskRow(id=row["id"], audio=row["data"]["audio"], labelled=row["is_labeled"]) for row in rows]


def next_task(label_studio: LabelStudio, project: int) -> int | None:
    """Id of the task that "Label All Tasks" opens for the client's user, None when the queue is empty for them."""
    try:
        return int(label_studio.get(f"/api/projects/{project}/next")["id"])
    except RefusedError as error:
        if error.status == httpx.codes.NOT_FOUND:
            return None
        raise


def submit_choice(
    label_studio: LabelStudio, task: int, label: str, *, choices: str = "emotion", audio: str = "audio"
) -> int:
    """Submit one choice for a task as the labelling page would; returns the annotation's id."""
    region = {"from_name": choices, "to_name": audio, "type": "choices", "value": {"choices": [label]}}
    return int(label_studio.post(f"/api/tasks/{task}/annotations", {"result": [region], "lead_time": 1.0})["id"])


def connect_backend(label_studio: LabelStudio, project: int, *, url: str, title: str = "Aftertone") -> None:
    """Connect Aftertone at `url` as a user would; a connection to an address that is no longer ours is taken back."""
    rows = label_studio.get("/api/ml", project=project)
    for row in rows:
        if row["url"] != url:
            label_studio.delete(f"/api/ml/{row['id']}")
    for hook in label_studio.get("/api/webhooks/", project=project):
        if hook["url"] != f"{url}/webhook":
            label_studio.delete(f"/api/webhooks/{hook['id']}/")
    if url not in {row["url"] for row in rows}:
        label_studio.post("/api/ml", {"url": url, "project": project, "title": title})
