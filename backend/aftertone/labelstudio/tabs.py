"""The tabs of a project's Data Manager."""

from typing import TYPE_CHECKING

from aftertone.errors import LabelStudioError
from aftertone.labelstudio.tasks import Tab

if TYPE_CHECKING:
    from aftertone.labelstudio.client import LabelStudio

VIEWS = "api/dm/views/"


def read_tabs(label_studio: "LabelStudio", project: int) -> tuple[Tab, ...]:
    """All of them; none where Label Studio doesn't say, since nothing but a note depends on them."""
    try:
        views = [view.get("data") or {} for view in label_studio.get(VIEWS, project=project)]
        return tuple(
            Tab(
                title=str(view.get("title") or ""),
                ordered=bool(view.get("ordering")),
                filtered=bool((view.get("filters") or {}).get("items")),
            )
            for view in views
        )
    except (LabelStudioError, AttributeError, TypeError):
        return ()
