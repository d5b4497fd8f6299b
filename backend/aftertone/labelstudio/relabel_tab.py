"""A tab of the Data Manager that lists the tasks worth another look."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aftertone.labelstudio.tabs import VIEWS

if TYPE_CHECKING:
    from aftertone.labelstudio.client import LabelStudio

TITLE = "Worth another look (Aftertone)"
NOTHING = -1  # id of no task


def publish_tab(label_studio: "LabelStudio", project: int, tasks: Sequence[int]) -> None:
    """Show these tasks, and no others, in the tab; without tasks, no new tab is made.

    Args:
        tasks: ids, few: each is a condition of the tab's filter.
    """
    found = next((row for row in label_studio.get(VIEWS, project=project) if row["data"].get("title") == TITLE), None)
    data = _tab(tasks)
    if found is None:
        if tasks:
            label_studio.post(VIEWS, {"project": project, "data": data})
    elif found["data"].get("filters") != data["filters"]:
        data = {**found["data"], "filters": data["filters"]}
        label_studio.patch(f"{VIEWS}{found['id']}/?project={project}", {"project": project, "data": data})


def _tab(tasks: Sequence[int]) -> dict[str, Any]:
    items = [
        {"filter": "filter:tasks:id", "operator": "equal", "type": "Number", "value": task}
        for task in sorted(tasks) or [NOTHING]
    ]
    return {
        "title": TITLE,
        "type": "list",
        "target": "tasks",
        "ordering": [],
        "filters": {"conjunction": "or", "items": items},
        "hiddenColumns": {"explore": [], "labeling": []},
        "columnsWidth": {},
        "columnsDisplayType": {},
        "gridWidth": 4,
    }
