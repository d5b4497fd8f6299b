"""What a project asks its annotators: which audio, which question, what kind of answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from label_studio_sdk.label_interface.interface import LabelInterface

from aftertone.errors import LabelConfigError
from aftertone.labelstudio.attributes import AttributeControl, attribute_controls, attribute_of
from aftertone.labelstudio.controls import RATED, Control, Offered, Path, read_controls
from aftertone.labelstudio.elements import quoted
from aftertone.labelstudio.rating_question import RatingControls
from aftertone.labelstudio.region_question import RegionMark, read_regions
from aftertone_model.labels import LabelSchema
from aftertone_model.votes.regions import Region

SMALLEST_CONFIG = """<View>
  <Audio name="audio" value="$audio"/>
  <Choices name="emotion" toName="audio" choice="single">
    <Choice value="neutral"/>
    <Choice value="happy"/>
  </Choices>
</View>"""

MOST_LISTED = 8  # controls that a message lists


@dataclass(frozen=True, kw_only=True)
class Question:
    """The part of a label config that Aftertone learns: an Audio tag, and a tag that asks about it or its parts."""

    audio: str  # name of the Audio or Video tag
    field: str  # key of the task's data that holds the audio's address
    control: str  # name of the tag that annotators answer by; of several that ask for ratings, joined by +
    schema: (
        LabelSchema  # kind of answer; its classes are named as Label Studio stores them (an alias where there is one)
    )
    tag: str = "Choices"  # what that tag is: Choices, Labels, Taxonomy, Rating or Number
    offered: Offered | None = None  # what its choices are; None: the classes
    regions: RegionMark | None = None  # how the regions are marked that it is about; None: it is about the whole clip
    notes: tuple[str, ...] = ()  # what people should know about the choice of this question; sentences
    attributes: tuple[AttributeControl, ...] = ()  # further controls, which ask for attributes of the clip

    @property
    def classes(self) -> tuple[str, ...]:
        """What annotators can choose, at least two; of ratings, the dimensions."""
        return self.schema.classes

    @property
    def ratings(self) -> RatingControls | None:
        """The tags that ask for numbers; None of a choice."""
        return None if self.offered is None else self.offered.ratings

    @property
    def by_path(self) -> bool:
        """Whether classes are named by their whole path in a tree of choices."""
        return self.offered is not None and self.offered.by_path

    def chosen(self, annotation: Mapping[str, Any]) -> tuple[str, ...]:
        """The answer of an annotation as Label Studio exports it; () where the question was left open.

        Of a question about regions the words of all that were marked.
        """
        if self.regions is not None:
            return tuple(dict.fromkeys(word for region in self.marked(annotation) for word in region.chosen))
        return self._chosen(annotation)

    def marked(self, annotation: Mapping[str, Any]) -> tuple[Region, ...]:
        """The regions of an annotation about which the question was answered; () of one about the whole clip."""
        return () if self.regions is None else read_regions(annotation, self._chosen)

    def _chosen(self, annotation: Mapping[str, Any]) -> tuple[str, ...]:
        if self.ratings is not None:
            return self.ratings.chosen(annotation)
        kind, paths = self.tag.lower(), list[Path]()
        for item in annotation.get("result") or ():
            if item.get("from_name") == self.control and item.get("type") == kind:
                paths += [path for entry in item.get("value", {}).get(kind, ()) if (path := self._path(entry))]
        # A branch chosen along with what lies below it says no more than that.
        said = [path for path in paths if not any(path == other[: len(path)] and path != other for other in paths)]
        return tuple(dict.fromkeys(self.offered.named(path) if self.offered else path[-1] for path in said))

    def result(self, answer: Sequence[str], seconds: float | None = None) -> list[dict[str, Any]]:
        """A prediction's `result` that shows an answer; of a question about regions, as one that is the whole clip.

        Empty where the label config has lost part of it, or where it can't be shown: Label Studio takes no predictions
        of its form, or a region would need a label that nobody chose.

        Args:
            seconds: the audio's duration; where it isn't known, a question about regions shows nothing.
        """
        items = self._result(answer)
        if self.regions is None:
            return items
        if seconds is None or not self.regions.shown:
            return []
        return self.regions.whole(items, self.audio, seconds)

    def _result(self, answer: Sequence[str]) -> list[dict[str, Any]]:
        if self.ratings is not None:
            return self.ratings.result(answer, self.audio)
        if not answer or not set(answer) <= set(self.classes) or not (self.offered is None or self.offered.shown):
            return []
        kind, value = self.tag.lower(), list[Any](answer)
        if self.offered is not None and self.offered.nested:
            path = dict(zip(self.classes, self.offered.paths, strict=True))
            value = [list(path[name]) for name in answer]
        return [{"from_name": self.control, "to_name": self.audio, "type": kind, "value": {kind: value}}]

    def _path(self, entry: Any) -> Path:
        """What was chosen, as a path; () where it has another form."""
        if isinstance(entry, str):
            return (entry,)
        nested = self.offered is not None and self.offered.nested
        whole = nested and isinstance(entry, list) and all(isinstance(name, str) for name in entry)
        return tuple(entry) if whole else ()


@lru_cache(maxsize=64)
def parse_label_config(label_config: str, question: str = "", classes: tuple[str, ...] = ()) -> Question:
    """Find the question to learn.

    That is the one named; else the only one that can be learned; else the only one of these whose name or choices look
    like emotion. A choice goes before ratings, and what is asked of the whole clip before what is asked of its regions,
    unless these alone look like emotion; what asks for an attribute of the clip, such as gender, comes last. One that
    is hidden until something else is chosen must be named, and so must labels of regions that look like no emotion.

    Args:
        label_config: of a project, XML.
        question: name of the tag that asks it; '' where nobody named one.
        classes: of a question whose choices each task brings along; () where nobody named them.

    Raises:
        LabelConfigError: there is none, there are several, or the one named can't be learned. The first line of the
            message is the reason, with the smallest change that helps.
    """
    controls = _controls(label_config, classes)
    if question:
        return _as_question(_named(question, controls), controls)
    able = [control for control in controls if control.schema is not None]
    always = [control for control in able if not control.only_named]
    always = [control for control in always if control.about_emotion or not attribute_of(control)] or always
    for later in (_is_rated, _is_about_regions):
        always = _first(always, later)
    if len(always) == 1:
        return _as_question(always[0], controls)
    if not always:
        raise LabelConfigError(_nothing_to_learn(controls))
    if len(about := [control for control in always if control.about_emotion]) == 1:
        return _as_question(about[0], controls)
    raise LabelConfigError(
        f"The label config asks {len(about or always)} questions that could be learned: {_listed(about or always)}. "
        f"{_name_one((about or always)[0])}"
    )


def _controls(label_config: str, classes: tuple[str, ...]) -> list[Control]:
    try:
        tree = LabelInterface(label_config).parse(label_config)[3]
    except Exception as error:  # the SDK raises many kinds for XML that it can't make sense of
        reason = " ".join(str(error).split())
        raise LabelConfigError(_with_example(f"The label config can't be parsed ({reason}).")) from None
    controls = read_controls(tree, classes)
    if not controls:
        found = [
            f"<{element.tag} name={str(element.get('name'))!r}>"
            for element in tree.iter()
            if isinstance(element.tag, str) and element.get("name")
        ]
        raise LabelConfigError(
            _with_example(
                f"The label config asks nothing about audio (found {', '.join(found[:MOST_LISTED]) or 'no tags'}): it "
                "needs an Audio tag and, pointing at it, a Choices tag with at least two choices."
            )
        )
    return controls


def _first(controls: Sequence[Control], later: Callable[[Control], bool]) -> Sequence[Control]:
    """Without those that come later, where one of the others is about emotion, or nothing is and there are others."""
    others = [control for control in controls if not later(control)]
    about = [control for control in controls if control.about_emotion]
    return others if any(not later(c) for c in about) or (others and not about) else controls


def _is_rated(control: Control) -> bool:
    return bool(_parts(control))


def _is_about_regions(control: Control) -> bool:
    return control.regions is not None


def _parts(control: Control) -> tuple[str, ...]:
    """Names of the tags that ask for ratings together; () of a choice."""
    ratings = None if control.offered is None else control.offered.ratings
    return () if ratings is None else ratings.schema.classes


def _named(name: str, controls: Sequence[Control]) -> Control:
    found = next((control for control in controls if name in (control.name, *_parts(control))), None)
    if found is None:
        able = [control for control in controls if control.schema is not None]
        if not able:
            raise LabelConfigError(_nothing_to_learn(controls))
        raise LabelConfigError(
            f"The label config asks no question {quoted(name)}, which its options name; it could be "
            f"{_listed(able)}. {_name_one(able[0])}"
        )
    if found.schema is None:
        raise LabelConfigError(_with_example(found.refusal))
    return found


def _as_question(control: Control, controls: Sequence[Control]) -> Question:
    assert control.schema is not None
    assert control.offered is not None
    marks = "" if control.regions is None else control.regions.control  # no question beside this one
    left = [c for c in controls if c.schema and c.only_named and c is not control and c.name != marks]
    notes = [
        f"{other} isn't learned, because it {other.only_named}. To learn it instead, set "
        f'{{"question": {quoted(other.name)}}} in the model\'s extra params.'
        for other in left[:MOST_LISTED]
    ]
    if control.regions is not None and not control.regions.shown:
        notes.append(
            f"{control} is about regions, which Labels {quoted(control.regions.control)} marks in several ways: "
            "annotators aren't shown the model's answers, since nobody chose the region's label."
        )
    may_be_blank = control.regions is None and not control.required
    if may_be_blank and not control.schema.exclusive and not _parts(control):
        notes.append(
            f"{control} may be left blank, which counts as skipped, since it can't be told from a form that nobody "
            'filled in. Offer a choice such as "none of these", or set required="true".'
        )
    return Question(
        audio=control.media,
        field=control.field,
        control=control.name,
        schema=control.schema,
        tag=control.tag,
        offered=control.offered,
        regions=control.regions,
        notes=(*control.offered.notes, *notes),
        attributes=attribute_controls([other for other in controls if other is not control]),
    )


def _nothing_to_learn(controls: Sequence[Control]) -> str:
    found = [control for control in controls if control.schema is not None]
    if found:
        return (
            f"{found[0]} {found[0].only_named}, and there is no other question that can be learned. "
            f"{_name_one(found[0])}"
        )
    choices_first = sorted(controls, key=lambda control: control.tag.lower() not in ("choices", "taxonomy", *RATED))
    return _with_example("\n".join(control.refusal for control in choices_first[:MOST_LISTED]))


def _listed(controls: Sequence[Control]) -> str:
    more = f" and {len(controls) - MOST_LISTED} more" if len(controls) > MOST_LISTED else ""
    return ", ".join(f"{c} ({_choices(c)})" for c in controls[:MOST_LISTED]) + more


def _choices(control: Control) -> str:
    classes = control.schema.classes if control.schema is not None else ()
    return ", ".join(quoted(name)[1:-1] for name in classes[:4]) + (", …" if len(classes) > 4 else "")


def _name_one(control: Control) -> str:
    return (
        f'Name the one to learn in the model\'s extra params: {{"question": {quoted(control.name)}}}; what '
        "`aftertone set` says wins over them."
    )


def _with_example(reason: str) -> str:
    return f"{reason}\nThe smallest label config that works:\n{SMALLEST_CONFIG}"
