"""What a label config asks annotators, control by control: what can be learned of it, or why it can't."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from aftertone.errors import LabelConfigError
from aftertone.labelstudio.elements import VIDEO, Element, condition, is_tag, is_true, parent_choice, quoted, within
from aftertone.labelstudio.emotion_words import named_after_emotion, offers_emotions
from aftertone.labelstudio.rating_question import RatingControls, is_dimension, read_rating
from aftertone.labelstudio.region_question import RegionMark, read_mark
from aftertone_model.labels import LabelSchema, MultipleChoice, SingleChoice

RATED = ("rating", "number")  # tags that ask for a number
AUDIO = ("audio", "audioplus")  # tags whose sound is learned from
LOOKS_LIKE_NONE = "marks regions and looks like no emotion"
SEPARATOR = " / "  # between the choices of a path that is a class's name
UNFIT = ("Cc", "Zl", "Zp")  # Unicode categories that no class's name may hold: control characters, line breaks

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
    regions: RegionMark | None = None  # how the regions are marked that it is about; None: it is about the whole clip
    only_named: str = ""  # why it is learned only if somebody names it, to follow its name; '' where it needn't be
    required: bool = False  # whether annotators must answer

    def __str__(self) -> str:
        return f"{self.tag} {quoted(self.name)}"

    @cached_property
    def about_emotion(self) -> bool:
        """Whether its name or its choices look like emotion, or it is rated in dimensions of emotion."""
        if self.offered is not None and self.offered.ratings is not None and is_dimension(self.name):
            return True
        return named_after_emotion(self.name) or (self.offered is not None and offers_emotions(self.offered.words))


def read_controls(tree: Element, classes: Path = ()) -> list[Control]:
    """Every control of a label config, in its order.

    Args:
        tree: the label config's root element.
        classes: of questions whose choices each task brings along.
    """
    tags = [element for element in tree.iter() if isinstance(element.tag, str)]  # neither comments nor instructions
    objects = {e.get("name"): e for e in tags if e.get("name") and e.get("value") and not e.get("toName")}
    found = [_read(e, objects, classes) for e in tags if e.get("name") and e.get("toName") and e.tag != "Filter"]
    return _dimensions_together(found)


def _dimensions_together(controls: list[Control]) -> list[Control]:
    """The controls, with those that rate dimensions of emotion of the same audio as one, in place of the first."""
    asked = [c for c in controls if c.tag.lower() in RATED and is_dimension(c.name)]
    refused = tuple(control.refusal for control in asked if control.refusal)
    together: dict[tuple[str, bool], list[Control]] = {}
    for control in asked:
        if control.schema is not None and not control.only_named:
            together.setdefault((control.media, control.regions is None), []).append(control)
    joined: list[Control] = []
    for control in controls:
        group = together.get((control.media, control.regions is None), [])
        if control not in group:
            joined.append(control)
        elif control is group[0]:
            found = [one.offered.ratings for one in group if one.offered and one.offered.ratings]
            ratings = RatingControls(controls=tuple(part for one in found for part in one.controls))
            offered = Offered(ratings=ratings, notes=refused)
            joined.append(replace(control, name=ratings.name, schema=ratings.schema, offered=offered))
    return joined


def _read(element: Element, objects: dict[str, Element], classes: Path) -> Control:
    tag, name, hidden = str(element.tag), str(element.get("name")), condition(element)
    reason = f"is hidden at times ({hidden})" if hidden else ""
    control = Control(tag=tag, name=name, only_named=reason, required=is_true(element, "required"))
    try:
        if tag.lower() not in KINDS:
            raise LabelConfigError(OTHERS.get(tag.lower(), _other)(control, element))
        media = _media(control, element, objects)
        field = (media.get("value") or "").removeprefix("$")
        control = replace(
            control, media=media.get("name"), field=field, regions=read_mark(str(control), element, media)
        )
        offered, schema = _answers(control, element, classes)
        control = replace(control, offered=offered, schema=schema)
    except LabelConfigError as error:
        return replace(control, refusal=str(error))
    if is_tag(element, "labels") and not control.only_named and not control.about_emotion:
        return replace(control, only_named=LOOKS_LIKE_NONE)
    return control


def _media(control: Control, element: Element, objects: dict[str, Element]) -> Element:
    """The tag whose sound the control is about."""
    pointed = [objects[name] for name in element.get("toName").split(",") if name in objects]
    sound = [o for o in objects.values() if is_tag(o, *AUDIO)]
    found = next((o for o in pointed if is_tag(o, *AUDIO)), None)
    if found is not None:
        return found
    video = next((o for o in pointed if is_tag(o, VIDEO)), None)
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


def _answers(control: Control, element: Element, classes: Path) -> tuple[Offered, LabelSchema]:
    if is_true(element, "perItem"):
        raise LabelConfigError(
            f'{control} has perItem="true", so it is about single items, which aren\'t learned: remove that attribute, '
            "so that it is about the whole clip."
        )
    return KINDS[control.tag.lower()](control, element, classes)


def _choices(control: Control, element: Element, classes: Path) -> tuple[Offered, LabelSchema]:
    """Choices: names of the choices, or with `allowNested` paths down to the leaves."""
    nested = is_true(element, "allowNested")
    brought = _brought_along(control, element, () if nested else classes)
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
        top = [choice for choice in within(element, "choice") if parent_choice(choice) is None]
        hidden = len(top) < sum(1 for _ in within(element, "choice"))
        note = (
            f'{control} has choices within choices, which Label Studio shows only with allowNested="true"; only the '
            "topmost are learned."
        )
        offered = _flat(control, element, top, brought, (note,) if hidden else ())
    return offered, _schema(control, offered, several=element.get("choice") == "multiple")


def _labels(control: Control, element: Element, classes: Path) -> tuple[Offered, LabelSchema]:
    """Labels: names of the labels; one for each region, unless `choice` says otherwise."""
    brought = _brought_along(control, element, classes)
    offered = _flat(control, element, within(element, "label"), brought)
    return offered, _schema(control, offered, several=element.get("choice") == "multiple")


def _taxonomy(control: Control, element: Element, classes: Path) -> tuple[Offered, LabelSchema]:
    """Taxonomy: paths down to the leaves; several of them, unless `maxUsages` is 1."""
    del classes  # names can't tell which path each is
    _brought_along(control, element, ())
    if is_true(element, "labeling"):
        raise LabelConfigError(
            f'{control} has labeling="true", so it marks parts of a text: remove that attribute, so that it is about '
            "the whole clip."
        )
    note = f'{control} lets annotators choose branches, which teach nothing: set leafsOnly="true".'
    branches = any(parent_choice(choice) is not None for choice in within(element, "choice"))
    offered = Offered(
        paths=tuple(_leaves(control, element)),
        nested=True,
        words=_words(element),
        notes=(note,) if branches and not is_true(element, "leafsOnly") else (),
    )
    return offered, _schema(control, offered, several=(element.get("maxUsages") or "").strip() != "1")


def _rating(control: Control, element: Element, classes: Path) -> tuple[Offered, LabelSchema]:
    """Rating and Number: a number on the scale that the tag's attributes say."""
    del classes
    ratings = RatingControls(controls=(read_rating(control.tag, control.name, dict(element.attrib)),))
    return Offered(ratings=ratings), ratings.schema


KINDS: dict[str, Callable[[Control, Element, Path], tuple[Offered, LabelSchema]]] = {
    "choices": _choices,
    "labels": _labels,
    "taxonomy": _taxonomy,
    "rating": _rating,
    "number": _rating,
}
"""How the answers to a kind of tag are read; another kind of label begins with an entry here."""


def _frames(control: Control, element: Element) -> str:
    return (
        f"{control} (toName={quoted(element.get('toName'))}) marks frames of a video, which aren't learned: ask about "
        "the whole clip, by a Choices tag with the same name and toName in its place."
    )


def _other(control: Control, element: Element) -> str:
    return (
        f"{control} (toName={quoted(element.get('toName'))}) asks for nothing that can be learned: add a Choices tag "
        "with at least two choices, and let its toName be the name of the Audio tag."
    )


OTHERS: dict[str, Callable[[Control, Element], str]] = {
    "timelinelabels": _frames,
}
"""Why a tag of another kind isn't learned, and what to ask instead."""


def _schema(control: Control, offered: Offered, *, several: bool) -> LabelSchema:
    classes = tuple(offered.named(path) for path in offered.paths)
    if len(classes) < 2:
        part = "Label" if control.tag.lower() == "labels" else "Choice"
        count = f"{'one' if classes else 'no'} {part.lower()}"
        raise LabelConfigError(f"{control} offers {count} only: give it at least two {part} tags.")
    seen: set[str] = set()
    for name in classes:
        if name in seen:
            raise LabelConfigError(f"{control} offers {quoted(name)} twice: remove one, or give it another value.")
        seen.add(name)
    return (MultipleChoice if several else SingleChoice)(classes=classes)


def _brought_along(control: Control, element: Element, classes: Path) -> Path:
    """The classes of choices that each task brings along; () where all are in the label config itself.

    Args:
        classes: that the project's options name.

    Raises:
        LabelConfigError: the choices are elsewhere, and no options name them.
    """
    if "{{" in control.name:
        raise LabelConfigError(
            f"{control} stands in a Repeater, so that each task has others: move it out of there, with a name of its "
            "own."
        )
    given = {name: said for name in ("value", "apiUrl") if (said := (element.get(name) or "").strip())}
    if not given:
        return ()
    if "value" in given and classes:
        return classes
    attribute, said = next(iter(given.items()))
    part = "Label" if is_tag(element, "labels") else "Choice"
    by_name = 'name them in the model\'s extra params, such as {"classes": ["happy", "sad"]}, or '
    flat = attribute == "value" and is_tag(element, "choices", "labels") and not is_true(element, "allowNested")
    raise LabelConfigError(
        f"{control} takes its choices from elsewhere ({attribute}={quoted(said)}), so there are no fixed classes: "
        f"{by_name if flat else ''}remove {attribute} and list the choices as {part} tags."
    )


def _flat(
    control: Control, element: Element, parts: Iterable[Element], brought: Path, notes: tuple[str, ...] = ()
) -> Offered:
    """What can be chosen where choices hold no others.

    Args:
        parts: Choice or Label tags.
        brought: choices that each task brings along; one that the label config has too is the same.
    """
    own = [_stored(control, part) for part in parts]
    mixed = bool(own and brought)
    note = (
        f"{control} has choices of its own beside those that each task brings along, of which Label Studio takes no "
        "predictions: annotators aren't shown the model's answers. Let each task bring all choices along."
    )
    names = dict.fromkeys([*own, *brought]) if brought else own  # twice in the label config is refused later
    return Offered(
        paths=tuple((name,) for name in names),
        words=(*_words(element), *brought),
        shown=not mixed,
        notes=(*notes, *([note] if mixed else [])),
    )


def _stored(control: Control, choice: Element) -> str:
    """The name under which Label Studio stores a choice."""
    attribute = "value" if choice.get("alias") is None else "alias"
    name = choice.get(attribute) or ""
    if not name.strip():
        raise LabelConfigError(f"{control} has a {choice.tag} whose {attribute} is empty: give it one, or remove it.")
    if any(unicodedata.category(letter) in UNFIT for letter in name):
        raise LabelConfigError(
            f"{control} has a {choice.tag} whose {attribute} ({quoted(name)}) holds a line break or a control "
            f"character: write {attribute} without it."
        )
    if name.startswith("$"):
        raise LabelConfigError(
            f"{control} has a {choice.tag} with {attribute}={quoted(name)}, which each task fills in: write the "
            "choice out."
        )
    return name


def _leaves(control: Control, element: Element) -> Iterator[Path]:
    for choice in within(element, "choice"):
        if next(within(choice, "choice"), None) is None:
            path, above = (_stored(control, choice),), parent_choice(choice)
            while above is not None:
                path, above = (_stored(control, above), *path), parent_choice(above)
            yield path


def _words(element: Element) -> tuple[str, ...]:
    parts = (*within(element, "choice"), *within(element, "label"))
    return tuple(text for e in parts for text in (e.get("value"), e.get("alias")) if text)
