"""One Label Studio project: its labelling interface, its tasks, its connection to Aftertone."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from aftertone.demo.session import Session

LABEL_CONFIG = Path(__file__).with_name("label_config.xml")  # a link to the one at the top
PAGE = 1000  # tasks that are read at once
CHUNK = 250  # tasks that are imported at once: about a second


@dataclass(frozen=True, kw_only=True)
class Task:
    """One row of a project."""

    id: int
    audio: str  # the address Label Studio serves the clip at, relative to its own
    labelled: bool  # whether somebody has submitted an answer


def label_config(labels: Iterable[str] = ()) -> str:
    """The default labelling interface, with those of `labels` added that it lacks.

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


def create_project(session: Session, *, title: str, config: str, audio: Path) -> int:
    """Makes a project that may serve the files below `audio`, a subfolder of the server's documents. Returns its id."""
    project = session.post("/api/projects", {"title": title, "label_config": config})["id"]
    storage = {"project": project, "title": "audio", "path": str(audio), "use_blob_urls": True}
    session.post("/api/storages/localfiles", storage)
    return int(project)


def served_at(documents: Path, clip: Path) -> str:
    """Where Label Studio serves `clip`, a file below `documents`."""
    return f"/data/local-files/?d={quote(clip.relative_to(documents).as_posix())}"


def import_tasks(
    session: Session,
    project: int,
    tasks: Iterable[Mapping[str, str]],
    imported: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Adds the tasks whose audio the project doesn't hold yet, so that an import cut short can be done again.

    `imported` is called with the number done and the number to do.
    """
    present = {task.audio for task in list_tasks(session, project)}
    missing = [dict(data) for data in tasks if data["audio"] not in present]
    for start in range(0, len(missing), CHUNK):
        session.post(f"/api/projects/{project}/import", missing[start : start + CHUNK])
        imported(min(start + CHUNK, len(missing)), len(missing))


def list_tasks(session: Session, project: int) -> list[Task]:
    """Every task of the project, by id."""
    tasks: list[Task] = []
    page, total = 1, 1
    while len(tasks) < total:
        answer = session.get("/api/tasks", project=project, page=page, page_size=PAGE, resolve_uri="false")
        total = answer["total"]
        tasks += [_task(task) for task in answer["tasks"]]
        page += 1
    return sorted(tasks, key=lambda task: task.id)


def next_task(session: Session, project: int) -> int | None:
    """Id of the task that "Label All Tasks" opens for the session's user, None when the queue is empty for them."""
    response = session.request("GET", f"/api/projects/{project}/next")
    return int(response.json()["id"]) if response.is_success else None


def submit_choice(session: Session, task: int, label: str, *, choices: str = "emotion", audio: str = "audio") -> int:
    """Submits one choice for a task as the labelling page would. Returns the annotation's id."""
    region = {"from_name": choices, "to_name": audio, "type": "choices", "value": {"choices": [label]}}
    return int(session.post(f"/api/tasks/{task}/annotations", {"result": [region], "lead_time": 1.0})["id"])


def connect_backend(session: Session, project: int, *, url: str, title: str = "Aftertone") -> None:
    """Connects Aftertone at `url` as a user would; a connection to an address that is no longer ours is taken back."""
    rows = session.get("/api/ml", project=project)
    for row in rows:
        if row["url"] != url:
            session.delete(f"/api/ml/{row['id']}")
    for hook in session.get("/api/webhooks/", project=project):
        if hook["url"] != f"{url}/webhook":
            session.delete(f"/api/webhooks/{hook['id']}/")
    if url not in {row["url"] for row in rows}:
        session.post("/api/ml", {"url": url, "project": project, "title": title})


def _task(raw: Mapping[str, Any]) -> Task:
    return Task(id=raw["id"], audio=raw["data"]["audio"], labelled=raw["is_labeled"])
