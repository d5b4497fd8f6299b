"""Rating and Number tags as one question: how strong each dimension of a whole audio clip is."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftertone.errors import LabelConfigError
from aftertone_model.labels import Ratings, Scale

DIMENSIONS = frozenset(
    {
        *("valence", "arousal", "dominance", "activation", "pleasure", "pleasantness", "evaluation", "sentiment"),
        *("intensity", "energy", "tension", "power", "potency", "expectancy", "expectation", "anticipation"),
    }
)
"""Names of what emotions are rated in. Tags whose names hold one of these words belong to one question."""

STARS = 5  # of a Rating without maxRating, as in Label Studio


@dataclass(frozen=True, kw_only=True)
class RatingControl:
    """A tag that asks for a number."""

    name: str
    kind: str  # as results name it: rating or number
    scale: Scale
    step: float | None = None  # between the numbers that can be given; None: any

    def value(self, rating: float) -> float:
        """The nearest number that an annotator could give."""
        if self.step is not None:
            rating = self.scale.low + round((rating - self.scale.low) / self.step) * self.step
        rating = min(max(rating, self.scale.low), self.scale.high)
        return int(rating) if self.kind == "rating" else rating


@dataclass(frozen=True, kw_only=True)
class RatingControls:
    """The tags of one question, all about the same audio."""

    controls: tuple[RatingControl, ...]  # at least one

    @property
    def name(self) -> str:
        """Of the question."""
        return "+".join(control.name for control in self.controls)

    @property
    def schema(self) -> Ratings:
        """A dimension for each tag, named as the tag is."""
        return Ratings(
            classes=tuple(control.name for control in self.controls),
            scales=tuple(control.scale for control in self.controls),
        )

    def chosen(self, annotation: Mapping[str, Any]) -> tuple[str, ...]:
        """`dimension=rating` of each tag that an annotation answers; no star counts as no answer."""
        found: dict[str, float] = {}
        kinds = {control.name: control.kind for control in self.controls}
        for item in annotation.get("result") or ():
            name, kind = item.get("from_name"), item.get("type")
            if name not in kinds or kinds[name] != kind:
                continue
            value = item.get("value", {}).get(kind)
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                found[name] = value
        return tuple(
            f"{name}={found[name]:.12g}"
            for name in kinds
            if name in found and not (kinds[name] == "rating" and found[name] == 0)
        )

    def result(self, answer: Sequence[str], audio: str) -> list[dict[str, Any]]:
        """A prediction's `result` that shows an answer; empty where the label config has lost part of it.

        Args:
            audio: name of the Audio tag.
        """
        by_name = {control.name: control for control in self.controls}
        rows: list[dict[str, Any]] = []
        for word in answer:
            name, _, written = word.rpartition("=")
            if name not in by_name:
                return []
            control = by_name[name]
            value = {control.kind: control.value(float(written))}
            rows.append({"from_name": name, "to_name": audio, "type": control.kind, "value": value})
        return rows


def is_dimension(name: str) -> bool:
    """Whether a tag is named after a dimension that emotions are rated in."""
    return bool(DIMENSIONS & set(re.split(r"[^a-z]+", name.lower())))


def read_rating(tag: str, name: str, given: Mapping[str, str]) -> RatingControl:
    """What a Rating or Number tag asks for.

    Args:
        tag: its kind.
        given: its attributes.

    Raises:
        LabelConfigError: it has no scale; the message says what to write.
    """
    if tag.lower() == "rating":
        most = _number(given.get("maxRating", STARS))
        if most is None or most < 2:
            raise LabelConfigError(f'{tag} "{name}" needs more than one star: set maxRating="5".')
        return RatingControl(name=name, kind="rating", scale=Scale(low=1, high=int(most)), step=1)
    low, high, step = (_number(given.get(key)) for key in ("min", "max", "step"))
    if low is None or high is None or low >= high:
        raise LabelConfigError(f'{tag} "{name}" has no range: set min and max, such as min="1" max="5".')
    step = step if step is not None and 0 < step <= high - low else None
    return RatingControl(name=name, kind="number", scale=Scale(low=low, high=high), step=step)


def _number(written: Any) -> float | None:
    try:
        value = float(written)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
