"""Questions about parts of the audio: how annotators mark them, what they answered about each, how one is shown."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aftertone.errors import LabelConfigError
from aftertone.labelstudio.elements import VIDEO, Element, is_tag, is_true, quoted, within
from aftertone_model.votes.regions import Region

SHOWN = "whole"  # id of the region that a prediction shows


@dataclass(frozen=True, kw_only=True)
class RegionMark:
    """The Labels tag by which annotators mark regions of the audio."""

    control: str  # its name
    label: str = ""  # that a shown region gets; '' where the question's answer is itself the label, or where none fits
    asks: bool = False  # whether its labels are the answers to the question

    @property
    def shown(self) -> bool:
        """Whether a region can be shown without a label that nobody chose."""
        return self.asks or bool(self.label)

    def whole(self, items: Iterable[Mapping[str, Any]], audio: str, seconds: float) -> list[dict[str, Any]]:
        """A prediction's `result` that shows an answer as one region from the audio's beginning to its end.

        Args:
            items: the answer as items of a result, without a region; none, and nothing is shown.
            audio: name of the Audio tag.
            seconds: the audio's duration.
        """
        span = {"start": 0, "end": round(seconds, 3)}
        rows = [{**item, "id": SHOWN, "value": {**span, **item["value"]}} for item in items]
        if rows and not self.asks:
            value = {**span, "labels": [self.label]}
            mark = {"from_name": self.control, "to_name": audio, "type": "labels", "value": value}
            rows = [{**mark, "id": SHOWN}, *rows]
        return rows


def read_regions(
    annotation: Mapping[str, Any], chosen: Callable[[Mapping[str, Any]], tuple[str, ...]]
) -> tuple[Region, ...]:
    """The regions of an annotation about which the question was answered, in the annotation's order.

    Items of one region have the same `id`, and as a rule its start and end each; where an item of a control lacks them,
    those of the region count that its `id` or its `parentID` names. Regions without an answer are left out.

    Args:
        annotation: as Label Studio exports it.
        chosen: reads the words of the answer from what looks like an annotation and holds one region's items.
    """
    items = [item for item in annotation.get("result") or () if isinstance(item.get("value"), Mapping)]
    spans: dict[Any, tuple[float, float]] = {}
    grouped: dict[Any, list[Mapping[str, Any]]] = {}
    for number, item in enumerate(items):
        span, name = _span(item["value"]), str(item.get("id") or number)
        if span is not None:
            spans.setdefault(name, span)
        elif item.get("parentID"):
            name = str(item["parentID"])
        grouped.setdefault(name, []).append(item)
    said = {name: chosen({"result": group}) for name, group in grouped.items() if name in spans}
    return tuple(
        Region(start=spans[name][0], end=spans[name][1], chosen=words) for name, words in said.items() if words
    )


def _span(value: Mapping[str, Any]) -> tuple[float, float] | None:
    """Start and end in seconds; None where they are none."""
    start, end = value.get("start"), value.get("end")
    for bound in (start, end):
        if not isinstance(bound, int | float) or isinstance(bound, bool) or not math.isfinite(bound):
            return None
    assert start is not None
    assert end is not None
    return float(start), float(end)


def read_mark(control: str, element: Element, media: Element) -> RegionMark | None:
    """How the regions are marked that a control is about; None where it is about the whole clip.

    Args:
        control: its tag and name, for messages.
        element: its tag.
        media: the tag whose sound it is about.

    Raises:
        LabelConfigError: it is about regions, and nobody can mark any that could be learned.
    """
    marks = is_tag(element, "labels")
    if not marks and not is_true(element, "perRegion"):
        return None
    if is_tag(media, VIDEO):
        what = "marks" if marks else 'has perRegion="true", so it is about'
        raise LabelConfigError(
            f"{control} {what} parts of a video's picture, of which there is no sound to learn from: ask about the "
            "whole clip, by a Choices tag without perRegion."
        )
    if marks:
        return RegionMark(control=element.get("name"), asks=True)
    tags = [e for e in within(element.getroottree().getroot(), "labels") if _points_at(e, media)]
    if not tags:
        target = quoted(media.get("name"))
        raise LabelConfigError(
            f'{control} has perRegion="true", and no Labels tag lets annotators mark regions of the audio: add <Labels '
            f'name="region" toName={target}><Label value="Speech"/></Labels>, or remove perRegion, so that it is about '
            "the whole clip."
        )
    wanted = element.get("whenLabelValue")
    for tag in tags:
        names = [name for e in within(tag, "label") if (name := _label_name(e, wanted))]
        if len(names) == 1:  # no other was left to choose from
            return RegionMark(control=tag.get("name"), label=names[0])
    return RegionMark(control=tags[0].get("name"))


def _points_at(control: Element, media: Element) -> bool:
    return media.get("name") in (control.get("toName") or "").split(",")


def _label_name(label: Element, wanted: str | None) -> str:
    """The name under which Label Studio stores a label; '' where another is wanted."""
    names = [name for name in (label.get("alias"), label.get("value")) if name]
    return names[0] if names and (wanted is None or wanted in names) else ""
