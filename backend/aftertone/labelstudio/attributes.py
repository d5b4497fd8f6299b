"""Attributes of a clip, such as the speaker's gender: from fields of its task, and from further controls of the form.

A field or a control is known by its name. What a person answered goes before what a field says.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftertone.attribute_names import NAMES, SPOKEN, bounded
from aftertone.labelstudio.controls import Control
from aftertone.labelstudio.emotion_words import plain
from aftertone.labelstudio.untouched import touched
from aftertone_model.labels import SingleChoice

GENDERS = frozenset(map(plain, ("male", "female", "man", "woman", "m", "f", "männlich", "weiblich", "homme", "femme")))
"""Choices by which a question about gender is known whatever its name."""


@dataclass(frozen=True, kw_only=True)
class AttributeControl:
    """A control of the label config that asks for an attribute of the whole clip."""

    attribute: str
    name: str
    kind: str  # as results name it: choices or textarea

    def answer(self, annotation: Mapping[str, Any]) -> str:
        """What an annotation says; '' where it says nothing, or something about a part of the clip."""
        for item in annotation.get("result") or ():
            value = item.get("value") or {}
            if item.get("from_name") != self.name or item.get("type") != self.kind or "start" in value:
                continue
            given = value.get("choices" if self.kind == "choices" else "text") or ()
            words = [given] if isinstance(given, str) else [word for word in given if isinstance(word, str)]
            return " ".join(word.strip() for word in words).strip()
        return ""


def attribute_controls(controls: Sequence[Control]) -> tuple[AttributeControl, ...]:
    """The controls of these that ask for attributes, at most one for each."""
    found: dict[str, AttributeControl] = {}
    for control in controls:
        if attribute := attribute_of(control):
            asks = AttributeControl(attribute=attribute, name=control.name, kind=control.tag.lower())
            found.setdefault(attribute, asks)
    return tuple(found.values())


def attribute_of(control: Control) -> str:
    """The attribute that a control asks for; '' where it asks for something else."""
    name = plain(control.name).replace("-", "_").replace(" ", "_")
    if control.regions is not None:
        return ""
    named = next((attribute for attribute, names in NAMES.items() if name in names), "")
    if control.tag.lower() == "textarea":
        return named if named == SPOKEN else ""
    if control.tag.lower() != "choices" or not isinstance(control.schema, SingleChoice):
        return ""
    if not named and control.offered is not None and len(control.offered.words) > 1:
        known = sum(plain(word).strip() in GENDERS for word in control.offered.words)
        named = "gender" if known >= 2 else ""
    return "" if named == SPOKEN else named


def read_attributes(
    data: Mapping[str, Any],
    annotations: Iterable[Mapping[str, Any]],
    controls: Sequence[AttributeControl],
    fields: Mapping[str, str],
    made: Collection[int] = (),
) -> dict[str, str]:
    """The attributes of one task's clip, as far as they are known; longer values than `longest_value` are cut.

    Args:
        data: the task's fields.
        annotations: the task's, as Label Studio exports them. Of several answers the most frequent counts, of equally
            frequent ones the latest. Predictions that were submitted as they were shown are no answers.
        fields: attribute -> the field that tells it, in place of those that are known by name.
        made: ids of annotations that were made of predictions.
    """
    found: dict[str, str] = {}
    for attribute, names in NAMES.items():
        told = (data.get(name) for name in ((fields[attribute],) if attribute in fields else names))
        if text := next((str(value).strip() for value in told if isinstance(value, str | int | float)), ""):
            found[attribute] = text
    submitted = [touched(a, made) for a in annotations if not a.get("was_cancelled")] if controls else []
    submitted.sort(key=lambda a: (a.get("updated_at") or "", a.get("id") or 0))
    for control in controls:
        answers = [answer for annotation in submitted if (answer := control.answer(annotation))]
        if answers:
            counts = Counter(answers)
            found[control.attribute] = max(reversed(answers), key=counts.__getitem__)
    return {name: bounded(name, text).encode(errors="replace").decode() for name, text in found.items()}
