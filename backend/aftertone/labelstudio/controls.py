"""What a label config asks annotators, control by control: what can be learned of it, or why it can't."""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from aftertone.errors import LabelConfigError
from aftertone.labelstudio.emotion_words import named_after_emotion, offers_emotions
from aftertone.labelstudio.rating_question import RatingControls, is_dimension, read_rating
from aftertone_model.labels import LabelSchema, MultipleChoice, SingleChoice

RATED = ("rating", "number")  # tags that ask for a number
AUDIO = ("audio", "audioplus")  # tags whose sound is learned from
VIDEO = "video"  # its sound is learned from where there is no other
SEPARATOR = " / "  # between the choices of a path that is a class's name
UNFIT = ("Cc", "Zl", "Zp")  # Unicode categories that no class's name may hold: control characters, line breaks
LONGEST_SHOWN = 60  # characters of a name in a sentence

Element = Any  # of lxml, which has no types
Path = tuple[str, ...]  # names of choices, from the topmost down


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What annotators can answer by a control."""

    paths: tuple[Path, ...] = ()  # of each choice that may be a class, as Label Studio stores it
    ratings: RatingControls | None = None  # of a control that asks for numbers
    nested: bool = False  # whether Label Studio stores paths instead of names
    shown: bool = True  # whether it takes predictions of this form
    words: tuple[str, ...] = ()  # every name and alias, by which questions about emotion are known
    notes: tuple[str, ...] = ()

    @property
    def by_path(self) -> bool:
        """Whether classes are named by their whole path, because two leaves have the same name."""
        leaves = [path[-1] for path in self.paths]
        return len(set(leaves)) < len(leaves)

    def named(self, path: Path) -> str:
        """The class that a path stands for."""
        return SEPARATOR.join(path) if self.by_path else path[-1]


@dataclass(frozen=True, kw_only=True)
class Control:
    """A tag of a label config that annotators answer by."""

    tag: str
    name: str
    media: str = ""  # name of the Audio or Video tag that it is about; '' for none
    field: str = ""  # key of the task's data that holds the audio's address
    offered: Offered | None = None
    schema: LabelSchema | None = None  # kind of answer; None where it can't be learned
    refusal: str = ""  # why it can't be learned, and the smallest change; a sentence
    condition: str = ""  # attribute that hides it until something else is chosen; '' where it is always there
    required: bool = False  # whether annotators must answer

    def __str__(self) -> str:
        return f"{self.tag} {quoted(self.name)}"

    @cached_property
    def about_emotion(self) -> bool:
        """Whether its name or its choices look like emotion, or it is rated in dimensions of emotion."""
        if self.offered is not None and self.offered.ratings is not None and is_dimension(self.name):
            return True
        return named_after_emotion(self.name) or (self.offered is not None and offers_emotions(self.offered.words))


def quoted(text: str) -> str:
    """A name of the label config for a sentence: on one line, printable and not too long."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in text)
    return f'"{clean[:LONGEST_SHOWN]}…"' if len(clean) > LONGEST_SHOWN else f'"{clean}"'


def read_controls(tree: Element) -> list[Control]:
    """Every control of a label config, in its order.

    Args:
        tree: the label config's root element.
    """
    tags = [element for element in tree.iter() if isinstance(element.tag, str)]  # neither comments nor instructions
    objects = {e.get("name"): e for e in tags if e.get("name") and e.get("value") and not e.get("toName")}
    found = [_read(e, objects) for e in tags if e.get("name") and e.get("toName") and e.tag != "Filter"]
    return _dimensions_together(found)


def _dimensions_together(controls: list[Control]) -> list[Control]:
    """The controls, with those that rate dimensions of emotion of the same audio as one, in place of the first."""
    asked = [c for c in controls if c.tag.lower() in RATED and is_dimension(c.name)]
    refused = tuple(control.refusal for control in asked if control.refusal)
    together: dict[str, list[Control]] = {}
    for control in asked:
        if control.schema is not None and not control.condition:
            together.setdefault(control.media, []).append(control)
    joined: list[Control] = []
    for control in controls:
        group = together.get(control.media, [])
        if control not in group:
            joined.append(control)
        elif control is group[0]:
            found = [one.offered.ratings for one in group if one.offered and one.offered.ratings]
            ratings = RatingControls(controls=tuple(part for one in found for part in one.controls))
            offered = Offered(ratings=ratings, notes=refused)
            joined.append(replace(control, name=ratings.name, schema=ratings.schema, offered=offered))
    return joined


def _read(element: Element, objects: dict[str, Element]) -> Control:
    tag, name = str(element.tag), str(element.get("name"))
    control = Control(tag=tag, name=name, condition=_condition(element), required=_true(element, "required"))
    known = {**vars(control)}
    try:
        if tag.lower() not in KINDS:
            raise LabelConfigError(OTHERS.get(tag.lower(), _other)(control, element))
        media = _media(control, element, objects)
        known |= {"media": media.get("name"), "field": (media.get("value") or "").removeprefix("$")}
        offered, schema = _answers(control, element)
    except LabelConfigError as error:
        return Control(**{**known, "refusal": str(error)})
    return Control(**{**known, "offered": offered, "schema": schema})


def _media(control: Control, element: Element, objects: dict[str, Element]) -> Element:
    """The tag whose sound the control is about."""
    pointed = [objects[name] for name in element.get("toName").split(",") if name in objects]
    sound = [o for o in objects.values() if _is(o, *AUDIO)]
    found = next((o for o in pointed if _is(o, *AUDIO)), None)
    if found is not None:
        return found
    video = next((o for o in pointed if _is(o, VIDEO)), None)
    if video is not None and not sound:
        return video
    target = f"{control} has toName={quoted(element.get('toName'))}"
    if not sound:
        raise LabelConfigError(
            f'{target}, and the label config has no Audio tag: add <Audio name="audio" value="$audio"/> and set '
            'toName="audio".'
        )
    what = f", of a {pointed[0].tag} tag" if pointed else ""
    raise LabelConfigError(f"{target}{what}: set toName={quoted(sound[0].get('name'))}, so that it is about the audio.")


def _answers(control: Control, element: Element) -> tuple[Offered, LabelSchema]:
    for attribute, part in (("perRegion", "segments"), ("perItem", "single items")):
        if _true(element, attribute):
            raise LabelConfigError(
                f'{control} has {attribute}="true", so it is about {part}, which aren\'t learned yet: remove that '
                "attribute, so that it is about the whole clip."
            )
    return KINDS[control.tag.lower()](control, element)


def _choices(control: Control, element: Element) -> tuple[Offered, LabelSchema]:
    """Choices: names of the choices, or with `allowNested` paths down to the leaves."""
    _check_static(control, element)
    nested = _true(element, "allowNested")
    if nested:
        offered = Offered(
            paths=tuple(_leaves(control, element)),
            nested=True,
            shown=False,
            words=_words(element),
            notes=(
                f'{control} has allowNested="true", and Label Studio takes no predictions of that form: annotators '
                "aren't shown the model's answers. A Taxonomy tag can show them.",
            ),
        )
    else:
        top = [choice for choice in _all_choices(element) if _parent_choice(choice) is None]
        hidden = len(top) < sum(1 for _ in _all_choices(element))
        note = (
            f'{control} has choices within choices, which Label Studio shows only with allowNested="true"; only the '
            "topmost are learned."
        )
        offered = Offered(
            paths=tuple((_stored(control, choice),) for choice in top),
            words=_words(element),
            notes=(note,) if hidden else (),
        )
    return offered, _schema(control, offered, several=element.get("choice") == "multiple")


def _taxonomy(control: Control, element: Element) -> tuple[Offered, LabelSchema]:
    """Taxonomy: paths down to the leaves; several of them, unless `maxUsages` is 1."""
    _check_static(control, element)
    if _true(element, "labeling"):
        raise LabelConfigError(
            f'{control} has labeling="true", so it marks parts of a text: remove that attribute, so that it is about '
            "the whole clip."
        )
    note = f'{control} lets annotators choose branches, which teach nothing: set leafsOnly="true".'
    branches = any(_parent_choice(choice) is not None for choice in _all_choices(element))
    offered = Offered(
        paths=tuple(_leaves(control, element)),
        nested=True,
        words=_words(element),
        notes=(note,) if branches and not _true(element, "leafsOnly") else (),
    )
    return offered, _schema(control, offered, several=(element.get("maxUsages") or "").strip() != "1")


def _rating(control: Control, element: Element) -> tuple[Offered, LabelSchema]:
    """Rating and Number: a number on the scale that the tag's attributes say."""
    ratings = RatingControls(controls=(read_rating(control.tag, control.name, dict(element.attrib)),))
    return Offered(ratings=ratings), ratings.schema


KINDS: dict[str, Callable[[Control, Element], tuple[Offered, LabelSchema]]] = {
    "choices": _choices,
    "taxonomy": _taxonomy,
    "rating": _rating,
    "number": _rating,
}
"""How the answers to a kind of tag are read; another kind of label begins with an entry here."""


def _segments(control: Control, element: Element) -> str:
    return (
        f"{control} (toName={quoted(element.get('toName'))}) marks segments, which aren't learned yet: ask about the "
        f"whole clip, by a Choices tag with the same name and toName in its place."
    )


def _other(control: Control, element: Element) -> str:
    return (
        f"{control} (toName={quoted(element.get('toName'))}) asks for nothing that can be learned: add a Choices tag "
        "with at least two choices, and let its toName be the name of the Audio tag."
    )


OTHERS: dict[str, Callable[[Control, Element], str]] = {
    "labels": _segments,
    "timelinelabels": _segments,
}
"""Why a tag of another kind isn't learned, and what to ask instead."""


def _schema(control: Control, offered: Offered, *, several: bool) -> LabelSchema:
    classes = tuple(offered.named(path) for path in offered.paths)
    if len(classes) < 2:
        count = "no choice" if not classes else "one choice"
        raise LabelConfigError(f"{control} offers {count} only: give it at least two Choice tags.")
    seen: set[str] = set()
    for name in classes:
        if name in seen:
            raise LabelConfigError(f"{control} offers {quoted(name)} twice: remove one, or give it another value.")
        seen.add(name)
    return (MultipleChoice if several else SingleChoice)(classes=classes)


def _check_static(control: Control, element: Element) -> None:
    """Raises where the choices aren't in the label config itself."""
    for attribute in ("value", "apiUrl"):
        if given := (element.get(attribute) or "").strip():
            raise LabelConfigError(
                f"{control} takes its choices from elsewhere ({attribute}={quoted(given)}), so there are no fixed "
                f"classes: remove {attribute} and list the choices as Choice tags."
            )
    if "{{" in control.name:
        raise LabelConfigError(
            f"{control} stands in a Repeater, so that each task has others: move it out of there, with a name of its "
            "own."
        )


def _stored(control: Control, choice: Element) -> str:
    """The name under which Label Studio stores a choice."""
    attribute = "value" if choice.get("alias") is None else "alias"
    name = choice.get(attribute) or ""
    if not name.strip():
        raise LabelConfigError(f"{control} has a Choice whose {attribute} is empty: give it one, or remove it.")
    if any(unicodedata.category(letter) in UNFIT for letter in name):
        raise LabelConfigError(
            f"{control} has a Choice whose {attribute} ({quoted(name)}) holds a line break or a control character: "
            f"write {attribute} without it."
        )
    if name.startswith("$"):
        raise LabelConfigError(
            f"{control} has a Choice with {attribute}={quoted(name)}, which each task fills in: write the choice out."
        )
    return name


def _leaves(control: Control, element: Element) -> Iterator[Path]:
    for choice in _all_choices(element):
        if next(_all_choices(choice), None) is None:
            path, above = (_stored(control, choice),), _parent_choice(choice)
            while above is not None:
                path, above = (_stored(control, above), *path), _parent_choice(above)
            yield path


def _words(element: Element) -> tuple[str, ...]:
    return tuple(text for e in _all_choices(element) for text in (e.get("value"), e.get("alias")) if text)


def _all_choices(element: Element) -> Iterator[Element]:
    return (e for e in element.iterdescendants() if isinstance(e.tag, str) and _is(e, "choice"))


def _parent_choice(choice: Element) -> Element | None:
    return next((e for e in choice.iterancestors() if _is(e, "choice")), None)


def _condition(element: Element) -> str:
    """The attribute, with its value, that hides a control or a View around it."""
    for tag in (element, *element.iterancestors()):
        for attribute in ("visibleWhen", "whenChoiceValue"):
            given = tag.get(attribute)
            if given and given != "no-region-selected":
                return f"{attribute}={quoted(given)}"
    return ""


def _is(element: Element, *tags: str) -> bool:
    return element.tag.lower() in tags


def _true(element: Element, attribute: str) -> bool:
    return (element.get(attribute) or "").strip().lower() in ("true", "1")
