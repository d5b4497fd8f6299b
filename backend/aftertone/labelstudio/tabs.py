"""The tabs of a project's Data Manager."""

from typing import TYPE_CHECKING

from aftertone.errors import LabelStudioError
from aftertone.labelstudio.tasks import Tab

if TYPE_CHECKING:
    from aftertone.labelstudio.client import LabelStudio

VIEWS = "api/dm/views/"


def read_tabs(label_studio: "LabelStudio", project: int) -> tuple[Tab, ...]:
    """All of them, in any order.

    Raises:
        LabelStudioError: Label Studio can't be asked, or answered something else.
    """
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
    except (AttributeError, TypeError) as error:
        raise LabelStudioError(f"Label Studio's list of tabs is of another form than expected ({error}).") from None
