"""Every shape of label config: what is learned of it, and that answers survive the way there and back."""

from typing import Any

import pytest
from label_studio_sdk.label_interface.interface import LabelInterface

from aftertone.errors import LabelConfigError
from aftertone.labelstudio.label_config import SMALLEST_CONFIG, parse_label_config
from aftertone_model.labels import Ratings
from tests.label_configs import AUDIO, HAPPY_SAD, MARK, SECONDS, SHAPES, TREE, Shape, choices


def refusal(tags: str, question: str = "") -> str:
    with pytest.raises(LabelConfigError) as error:
        parse_label_config(f"<View>{tags}</View>", question)
    return str(error.value)


def stripped(result: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in item.items() if key not in ("id", "original_length")} for item in result]


def test_the_smallest_config_of_the_message_works() -> None:
    question = parse_label_config(SMALLEST_CONFIG)
    assert (question.audio, question.field, question.control) == ("audio", "audio", "emotion")
    assert question.classes == ("neutral", "happy")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_shape_is_understood_and_answers_survive_the_way_there_and_back(shape: Shape) -> None:
    question = parse_label_config(shape.config, shape.question, shape.given)
    assert (question.control, question.audio, question.field) == (shape.control, shape.media, shape.source)
    assert (question.regions is not None) == shape.of_regions
    assert (type(question.schema), question.classes) == (shape.kind, shape.classes)
    assert question.chosen({"result": shape.result}) == shape.answer

    result = question.result(shape.answer, SECONDS)
    assert LabelInterface(shape.config).validate_prediction({"result": result, "score": 0.5}, return_errors=True) == []
    assert stripped(result) == (stripped(shape.result) if shape.shown else [])
    assert len({item.get("id") for item in result}) <= 1, "items about one region have the same id"
    assert question.result(shape.answer) == ([] if shape.of_regions else result)


@pytest.mark.parametrize("shape", [s for s in SHAPES if s.shown and s.kind is not Ratings], ids=str)
def test_every_class_can_be_shown_and_read_back(shape: Shape) -> None:
    question = parse_label_config(shape.config, shape.question, shape.given)
    for name in question.classes:
        result = question.result([name], SECONDS)
        assert LabelInterface(shape.config).validate_prediction({"result": result}, return_errors=True) == []
        assert question.chosen({"result": result}) == (name,)
    assert question.result(["no class"]) == question.result([]) == []


def test_a_branch_chosen_with_its_leaves_says_no_more_than_they_do() -> None:
    """Label Studio ticks a nested choice whose choices are all ticked."""
    several = f'<Choices name="emotion" toName="audio" choice="multiple" allowNested="true">{TREE}</Choices>'
    nested = parse_label_config(f"<View>{AUDIO}{several}</View>")
    chosen = [["negative"], ["negative", "sad"], ["negative", "ang"]]
    item = {"from_name": "emotion", "type": "choices", "value": {"choices": chosen}}
    assert nested.chosen({"result": [item]}) == ("sad", "ang")


def test_a_branch_alone_is_an_answer_that_is_no_class() -> None:
    taxonomy = parse_label_config(f'<View>{AUDIO}<Taxonomy name="emotion" toName="audio">{TREE}</Taxonomy></View>')
    item = {"from_name": "emotion", "type": "taxonomy", "value": {"taxonomy": [["negative"]]}}
    assert taxonomy.chosen({"result": [item]}) == ("negative",)
    assert "negative" not in taxonomy.classes
    assert 'leafsOnly="true"' in taxonomy.notes[0]


def test_what_is_hidden_at_times_is_told() -> None:
    hidden = choices("happy", "sad", name="mood", visibleWhen="choice-selected", whenTagName="emotion")
    question = parse_label_config(f"<View>{AUDIO}{HAPPY_SAD}{hidden}</View>")
    assert question.control == "emotion"
    (note,) = question.notes
    assert note.startswith(
        'Choices "mood" isn\'t learned, because it is hidden at times (visibleWhen="choice-selected")'
    )
    assert '{"question": "mood"}' in note
    around = f'<View visibleWhen="choice-selected" whenTagName="emotion">{choices("a", "b", name="mood")}</View>'
    assert parse_label_config(f"<View>{AUDIO}{HAPPY_SAD}{around}</View>").control == "emotion"
    alone = choices("happy", "sad", whenChoiceValue="speech")
    assert '{"question": "emotion"}' in refusal(AUDIO + alone).splitlines()[0]


def test_what_is_asked_of_the_whole_clip_goes_before_what_is_asked_of_its_regions() -> None:
    parts = choices("happy", "sad", name="part", perRegion="true")
    question = parse_label_config(f"<View>{AUDIO}{MARK}{parts}{choices('1', '2', name='mood')}</View>", "mood")
    assert question.regions is None
    assert parse_label_config(f"<View>{AUDIO}{MARK}{parts}{choices('yes', 'no', name='loud')}</View>").control == "part"
    unlike = choices("a", "b", name="part", perRegion="true")
    assert parse_label_config(f"<View>{AUDIO}{MARK}{unlike}{choices('c', 'd', name='q')}</View>").control == "q"
    assert parse_label_config(f"<View>{AUDIO}{MARK}{unlike}</View>").control == "part"
    assert "2 questions" in refusal(AUDIO + MARK + unlike + choices("c", "d", name="p2", perRegion="true"))


def test_labels_that_look_like_no_emotion_are_learned_only_if_they_are_named() -> None:
    speakers = '<Labels name="speaker" toName="audio"><Label value="one"/><Label value="two"/></Labels>'
    said = refusal(AUDIO + speakers)
    assert said.startswith('Labels "speaker" marks regions and looks like no emotion, and there is no other question')
    assert '{"question": "speaker"}' in said
    question = parse_label_config(f"<View>{AUDIO}{speakers}{HAPPY_SAD}</View>")
    assert question.control == "emotion"
    assert 'Labels "speaker" isn\'t learned, because it marks regions' in question.notes[0]
    asked = parse_label_config(f"<View>{AUDIO}{speakers}{choices('a', 'b', perRegion='true')}</View>")
    (note,) = asked.notes
    assert "annotators aren't shown the model's answers" in note


@pytest.mark.parametrize(("attributes", "told"), [({}, True), ({"required": "true"}, False)])
def test_what_a_blank_multiple_choice_means_is_told(attributes: dict[str, str], told: bool) -> None:
    several = choices("happy", "sad", choice="multiple", **attributes)
    question = parse_label_config(f"<View>{AUDIO}{several}</View>")
    assert question.chosen({"result": []}) == ()
    assert [("counts as skipped" in note) for note in question.notes] == [True] * told


def test_among_several_none_is_learned_in_silence() -> None:
    said = refusal(AUDIO + choices("a", "b", name="q1") + choices("c", "d", name="q2"))
    assert said == (
        'The label config asks 2 questions that could be learned: Choices "q1" (a, b), Choices "q2" (c, d). Name the '
        'one to learn in the model\'s extra params: {"question": "q1"}; what `aftertone set` says wins over them.'
    )
    said = refusal(AUDIO + HAPPY_SAD + choices("a", "b", name="mood") + choices("c", "d", name="quality"))
    assert "2 questions" in said
    assert "quality" not in said


def test_a_question_that_does_not_exist_is_told_those_that_do() -> None:
    said = refusal(AUDIO + HAPPY_SAD, "emtion")
    assert said.startswith('The label config asks no question "emtion", which its options name; it could be Choices')
    assert '{"question": "emotion"}' in said
    assert "<View>" not in said


@pytest.mark.parametrize(
    ("tags", "question", "first_line"),
    [
        (AUDIO + HAPPY_SAD + choices("a", "b", name="q", perRegion="true"), "q", 'Choices "q" has perRegion="true"'),
        (AUDIO + choices(value="$c"), "", 'Choices "emotion" takes its choices from elsewhere (value="$c")'),
        (
            f'{AUDIO}<Taxonomy name="t" toName="audio" apiUrl="http://x"/>',
            "",
            'Taxonomy "t" takes its choices from elsewhere (apiUrl="http://x")',
        ),
        (f'{AUDIO}<Taxonomy name="t" toName="audio" labeling="true"/>', "", 'Taxonomy "t" has labeling="true"'),
        (AUDIO + choices("a"), "", 'Choices "emotion" offers one choice only'),
        (AUDIO + choices(), "", 'Choices "emotion" offers no choice only'),
        (AUDIO + choices("a", "b", "a"), "", 'Choices "emotion" offers "a" twice'),
        (AUDIO + choices("a", ""), "", 'Choices "emotion" has a Choice whose value is empty'),
        (AUDIO + choices("a", "b&#10;c"), "", 'Choices "emotion" has a Choice whose value ("b?c") holds a line break'),
        (AUDIO + choices("a", "b\u2028c"), "", 'Choices "emotion" has a Choice whose value ("b?c") holds a line break'),
        (AUDIO + choices("a", "$b"), "", 'Choices "emotion" has a Choice with value="$b"'),
        (AUDIO + choices("a", "b", name="e_{{i}}"), "", 'Choices "e_{{i}}" stands in a Repeater'),
        (
            f'{AUDIO}<Text name="t" value="$t"/>{choices("a", "b", toName="t")}',
            "",
            'Choices "emotion" has toName="t", of a Text tag: set toName="audio"',
        ),
        (
            f'{AUDIO}<Video name="v" value="$v"/>{choices("a", "b", toName="v")}',
            "",
            'Choices "emotion" has toName="v", of a Video tag: set toName="audio"',
        ),
        (
            f'<Text name="t" value="$t"/>{choices("a", "b", toName="t")}',
            "",
            'Choices "emotion" has toName="t", and the label config has no Audio tag',
        ),
        (
            f'{AUDIO}<Labels name="l" toName="audio"/>',
            "",
            'Labels "l" offers no label only: give it at least two Label',
        ),
        (
            f'{AUDIO}<Labels name="l" toName="audio"><Label value="a"/><Label value=""/></Labels>',
            "",
            'Labels "l" has a Label whose value is empty',
        ),
        (
            f'{AUDIO}<Labels name="l" toName="audio" value="$l"/>',
            "",
            'Labels "l" takes its choices from elsewhere (value="$l"), so there are no fixed classes: name them in the '
            'model\'s extra params, such as {"classes": ["happy", "sad"]}',
        ),
        (
            '<Video name="v" value="$v"/><Labels name="l" toName="v"><Label value="a"/><Label value="b"/></Labels>',
            "",
            'Labels "l" marks parts of a video\'s picture',
        ),
        (
            '<Video name="v" value="$v"/><TimelineLabels name="l" toName="v"/>',
            "",
            'TimelineLabels "l" (toName="v") marks',
        ),
        (AUDIO + choices("a", "b", perRegion="true"), "", 'Choices "emotion" has perRegion="true", and no Labels tag'),
        (AUDIO + choices("a", "b", perItem="true"), "", 'Choices "emotion" has perItem="true", so it is about single'),
        (f'{AUDIO}<Rating name="r" toName="audio" maxRating="1"/>', "", 'Rating "r" needs more than one star'),
        (f'{AUDIO}<Rating name="r" toName="audio" perRegion="true"/>', "", 'Rating "r" has perRegion="true"'),
        (f'{AUDIO}<Number name="n" toName="audio" max="5"/>', "n", 'Number "n" has no range: set min and max, such as'),
        (f'{AUDIO}<Number name="n" toName="audio" min="5" max="5"/>', "", 'Number "n" has no range'),
        (f'{AUDIO}<Number name="n" toName="audio" min="low" max="high"/>', "", 'Number "n" has no range'),
        (f'{AUDIO}<TextArea name="x" toName="audio"/>', "", 'TextArea "x" (toName="audio") asks for nothing that'),
        (AUDIO, "", "The label config asks nothing about audio (found <Audio name='audio'>)"),
        ("", "", "The label config asks nothing about audio (found no tags)"),
    ],
)
def test_a_refusal_names_tag_and_attribute_first_and_then_what_works(tags: str, question: str, first_line: str) -> None:
    said = refusal(tags, question)
    assert said.splitlines()[0].startswith(first_line)
    assert SMALLEST_CONFIG in said


@pytest.mark.parametrize("config", ["", "<View", "<View>&x;</View>"])
def test_what_is_no_xml_is_told(config: str) -> None:
    with pytest.raises(LabelConfigError) as error:
        parse_label_config(config)
    assert str(error.value).startswith("The label config can't be parsed (")
    assert SMALLEST_CONFIG in str(error.value)


def test_names_in_a_sentence_are_short_and_on_one_line() -> None:
    said = refusal(f'{AUDIO}<Rating name="{"x" * 500}&#10;&#27;" toName="audio"/>').splitlines()[0]
    assert len(said) < 300
    assert said.isprintable()
