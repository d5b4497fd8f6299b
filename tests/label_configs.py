"""Label configs of every shape that is accepted, and what annotators answer in them."""

from dataclasses import dataclass, field
from typing import Any

from aftertone_model.labels import LabelSchema, MultipleChoice, Ratings, SingleChoice

SECONDS = 2.5  # that the audio lasts
SPAN = {"start": 0, "end": SECONDS}  # the region that is the whole audio
MARK = '<Labels name="region" toName="audio"><Label value="part"/></Labels>'
AUDIO = '<Audio name="audio" value="$audio"/>'


def choices(*names: str, **attributes: str) -> str:
    """A Choices tag, by default named emotion and about the audio."""
    given = {"name": "emotion", "toName": "audio", **attributes}
    said = " ".join(f'{name}="{value}"' for name, value in given.items())
    offered = "".join(f'<Choice value="{name}"/>' for name in names)
    return f"<Choices {said}>{offered}</Choices>"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One label config with an answer to the question that is learned."""

    name: str
    tags: str  # within the View
    value: dict[str, Any]  # what Label Studio stores of the answer
    answer: tuple[str, ...]  # the classes, or ratings, that it stands for
    classes: tuple[str, ...]
    kind: type[LabelSchema] = SingleChoice
    control: str = "emotion"
    question: str = ""  # extra param, where the shape needs one
    media: str = "audio"
    source: str = "audio"  # key of the task's data that holds the audio
    shown: bool = True  # whether Label Studio takes a prediction of this form
    given: tuple[str, ...] = ()  # extra param `classes`, where the shape needs them
    data: dict[str, Any] = field(default_factory=dict)  # what tasks hold beside the audio
    mark: str = ""  # of a question about regions, the tag by which they are marked, if that is another
    of_regions: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def config(self) -> str:
        return f"<View>{self.tags}</View>"

    @property
    def result(self) -> list[dict[str, Any]]:
        """An annotation's result as Label Studio stores it."""
        (kind,) = self.value.keys() - SPAN.keys()
        item = {"from_name": self.control, "to_name": self.media, "type": kind, "value": self.value}
        if not self.of_regions:
            return [item]
        marked = {
            "from_name": self.mark,
            "to_name": self.media,
            "type": "labels",
            "value": {**SPAN, "labels": ["part"]},
        }
        return [{**one, "id": "r1", "original_length": SECONDS} for one in [*[marked] * bool(self.mark), item]]


HAPPY_SAD = choices("happy", "sad")
NEGATIVE = '<Choice value="negative"><Choice value="sad"/><Choice value="angry" alias="ang"/></Choice>'
TREE = f'{NEGATIVE}<Choice value="neutral"/>'
TWICE = '<Choice value="low"><Choice value="sad"/></Choice><Choice value="high"><Choice value="sad"/></Choice>'

SHAPES = (
    Shape(
        name="single choice",
        tags=AUDIO + HAPPY_SAD,
        value={"choices": ["sad"]},
        answer=("sad",),
        classes=("happy", "sad"),
    ),
    Shape(
        name="radio buttons within views",
        tags=f'<View className="x">{AUDIO}</View><!-- a comment --><View>'
        + choices("happy", "sad", choice="single-radio", required="true")
        + "</View>",
        value={"choices": ["happy"]},
        answer=("happy",),
        classes=("happy", "sad"),
    ),
    Shape(
        name="choices within views",
        tags=AUDIO + '<Choices name="emotion" toName="audio"><View><Choice value="happy"/></View><Choice value="sad"/>'
        "</Choices>",
        value={"choices": ["happy"]},
        answer=("happy",),
        classes=("happy", "sad"),
    ),
    Shape(
        name="multiple choice",
        tags=AUDIO + choices("happy", "sad", "calm", choice="multiple"),
        value={"choices": ["happy", "calm"]},
        answer=("happy", "calm"),
        classes=("happy", "sad", "calm"),
        kind=MultipleChoice,
    ),
    Shape(
        name="aliases",
        tags=AUDIO + '<Choices name="emotion" toName="audio"><Choice value="Froh :)" alias="happy"/>'
        '<Choice value="Traurig" alias="sad"/></Choices>',
        value={"choices": ["happy"]},
        answer=("happy",),
        classes=("happy", "sad"),
    ),
    Shape(
        name="other scripts",
        tags=AUDIO + choices("très  heureux", "怒り", "خوشحال", "😀 👩‍🎤", "a &amp; &lt;b&gt; / c"),
        value={"choices": ["😀 👩‍🎤"]},
        answer=("😀 👩‍🎤",),
        classes=("très  heureux", "怒り", "خوشحال", "😀 👩‍🎤", "a & <b> / c"),
    ),
    Shape(
        name="taxonomy with one answer",
        tags=f'{AUDIO}<Taxonomy name="emotion" toName="audio" maxUsages="1" leafsOnly="true">{TREE}</Taxonomy>',
        value={"taxonomy": [["negative", "ang"]]},
        answer=("ang",),
        classes=("sad", "ang", "neutral"),
    ),
    Shape(
        name="taxonomy with several answers",
        tags=f'{AUDIO}<Taxonomy name="emotion" toName="audio">{TREE}</Taxonomy>',
        value={"taxonomy": [["negative", "sad"], ["neutral"]]},
        answer=("sad", "neutral"),
        classes=("sad", "ang", "neutral"),
        kind=MultipleChoice,
    ),
    Shape(
        name="taxonomy with leaves of the same name",
        tags=f'{AUDIO}<Taxonomy name="emotion" toName="audio" maxUsages="1">{TWICE}</Taxonomy>',
        value={"taxonomy": [["high", "sad"]]},
        answer=("high / sad",),
        classes=("low / sad", "high / sad"),
    ),
    Shape(
        name="nested choices",
        tags=f'{AUDIO}<Choices name="emotion" toName="audio" allowNested="true">{TREE}</Choices>',
        value={"choices": [["negative", "sad"]]},
        answer=("sad",),
        classes=("sad", "ang", "neutral"),
        shown=False,
    ),
    Shape(
        name="choices within choices that aren't nested",
        tags=f'{AUDIO}<Choices name="emotion" toName="audio">{TREE}</Choices>',
        value={"choices": ["negative"]},
        answer=("negative",),
        classes=("negative", "neutral"),
    ),
    Shape(
        name="hidden until another is chosen",
        tags=AUDIO
        + choices("speech", "noise", name="content")
        + choices("happy", "sad", visibleWhen="choice-selected", whenTagName="content", whenChoiceValue="speech"),
        value={"choices": ["sad"]},
        answer=("sad",),
        classes=("happy", "sad"),
        question="emotion",
    ),
    Shape(
        name="the emotion among other questions, by its name",
        tags=AUDIO
        + choices("a", "b", name="quality")
        + choices("1", "2", name="Stimmung")
        + '<TextArea name="note" toName="audio"/><Rating name="stars" toName="audio"/>'
        + choices("happy", "sad", name="part", perRegion="true"),
        value={"choices": ["2"]},
        answer=("2",),
        classes=("1", "2"),
        control="Stimmung",
    ),
    Shape(
        name="the emotion among other questions, by its choices",
        tags=AUDIO + choices("a", "b", name="q1") + choices("Colère!", "tristesse", "autre", name="q2"),
        value={"choices": ["autre"]},
        answer=("autre",),
        classes=("Colère!", "tristesse", "autre"),
        control="q2",
    ),
    Shape(
        name="the question that is named",
        tags=AUDIO + HAPPY_SAD + choices("good", "bad", name="quality"),
        value={"choices": ["bad"]},
        answer=("bad",),
        classes=("good", "bad"),
        control="quality",
        question="quality",
    ),
    Shape(
        name="AudioPlus",
        tags='<AudioPlus name="sound" value="$clip"/>' + choices("happy", "sad", toName="sound"),
        value={"choices": ["sad"]},
        answer=("sad",),
        classes=("happy", "sad"),
        media="sound",
        source="clip",
    ),
    Shape(
        name="a video's sound",
        tags='<Video name="film" value="$film"/>' + choices("happy", "sad", toName="film"),
        value={"choices": ["sad"]},
        answer=("sad",),
        classes=("happy", "sad"),
        media="film",
        source="film",
    ),
    Shape(
        name="stars",
        tags=AUDIO + '<Rating name="valence" toName="audio" maxRating="7"/>' + choices("a", "b", name="noise"),
        value={"rating": 6},
        answer=("valence=6",),
        classes=("valence",),
        kind=Ratings,
        control="valence",
    ),
    Shape(
        name="a number",
        tags=AUDIO + '<Number name="arousal" toName="audio" min="-1" max="1" step="0.25"/>',
        value={"number": -0.25},
        answer=("arousal=-0.25",),
        classes=("arousal",),
        kind=Ratings,
        control="arousal",
    ),
    Shape(
        name="labels of regions",
        tags='<Labels name="emotion" toName="audio"><Label value="Froh" alias="happy"/><Label value="sad"/></Labels>'
        + AUDIO,
        value={**SPAN, "labels": ["happy"]},
        answer=("happy",),
        classes=("happy", "sad"),
        of_regions=True,
    ),
    Shape(
        name="several labels of a region",
        tags=AUDIO
        + '<Labels name="x" toName="audio" choice="multiple"><Label value="happy"/><Label value="sad"/></Labels>',
        value={**SPAN, "labels": ["happy", "sad"]},
        answer=("happy", "sad"),
        classes=("happy", "sad"),
        kind=MultipleChoice,
        control="x",
        of_regions=True,
    ),
    Shape(
        name="labels of regions that look like no emotion",
        tags=AUDIO + '<Labels name="event" toName="audio"><Label value="door"/><Label value="bell"/></Labels>',
        value={**SPAN, "labels": ["bell"]},
        answer=("bell",),
        classes=("door", "bell"),
        control="event",
        question="event",
        of_regions=True,
    ),
    Shape(
        name="choices for each region",
        tags=AUDIO + MARK + choices("happy", "sad", perRegion="true", visibleWhen="region-selected"),
        value={**SPAN, "choices": ["sad"]},
        answer=("sad",),
        classes=("happy", "sad"),
        mark="region",
        of_regions=True,
    ),
    Shape(
        name="choices for regions of one label",
        tags=AUDIO
        + '<Labels name="region" toName="audio"><Label value="part"/><Label value="noise"/></Labels>'
        + choices("happy", "sad", perRegion="true", whenTagName="region", whenLabelValue="part"),
        value={**SPAN, "choices": ["happy"]},
        answer=("happy",),
        classes=("happy", "sad"),
        mark="region",
        of_regions=True,
    ),
    Shape(
        name="choices for regions that several labels mark",
        tags=AUDIO
        + '<Labels name="region" toName="audio"><Label value="part"/><Label value="whisper"/></Labels>'
        + choices("happy", "sad", perRegion="true"),
        value={**SPAN, "choices": ["happy"]},
        answer=("happy",),
        classes=("happy", "sad"),
        mark="region",
        of_regions=True,
        shown=False,
    ),
    Shape(
        name="stars for each region",
        tags=AUDIO + MARK + '<Rating name="valence" toName="audio" maxRating="7" perRegion="true"/>',
        value={**SPAN, "rating": 6},
        answer=("valence=6",),
        classes=("valence",),
        kind=Ratings,
        control="valence",
        mark="region",
        of_regions=True,
    ),
    Shape(
        name="choices that each task brings along",
        tags=AUDIO + '<Choices name="emotion" toName="audio" value="$options"/>',
        value={"choices": ["sad"]},
        answer=("sad",),
        classes=("happy", "sad"),
        given=("happy", "sad"),
        data={"options": [{"value": "Traurig", "alias": "sad"}, {"value": "bored"}]},
    ),
    Shape(
        name="choices beside those that each task brings along",
        tags=AUDIO + '<Choices name="emotion" toName="audio" value="$options"><Choice value="neutral"/></Choices>',
        value={"choices": ["neutral"]},
        answer=("neutral",),
        classes=("neutral", "happy", "sad"),
        given=("happy", "sad", "neutral"),
        data={"options": [{"value": "happy"}]},
        shown=False,
    ),
    Shape(
        name="labels that each task brings along",
        tags=AUDIO + '<Labels name="emotion" toName="audio" value="$options"/>',
        value={**SPAN, "labels": ["sad"]},
        answer=("sad",),
        classes=("happy", "sad"),
        given=("happy", "sad"),
        data={"options": [{"value": "happy"}, {"value": "sad"}]},
        of_regions=True,
    ),
)
