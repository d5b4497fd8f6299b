"""Attributes of clips: fields and controls that tell them, and what becomes of several answers."""

from typing import Any

import pytest

from aftertone.attribute_names import parse_attribute_fields, was_cut
from aftertone.errors import SettingsError
from aftertone.labelstudio.attributes import read_attributes
from aftertone.labelstudio.label_config import parse_label_config
from aftertone.labelstudio.snapshot import read_snapshot
from aftertone.labelstudio.tasks import TaskCache
from tests.unit.aftertone.fake_label_studio import FakeLabelStudio

FORM = """<View><Audio name="audio" value="$audio"/>
<Choices name="label" toName="audio"><Choice value="a"/><Choice value="b"/></Choices>
<Choices name="voice" toName="audio"><Choice value="Female"/><Choice value="Male"/><Choice value="unclear"/></Choices>
<Choices name="speaking-style" toName="audio"><Choice value="read"/><Choice value="free"/></Choices>
<TextArea name="transcript" toName="audio"/><TextArea name="remarks" toName="audio"/></View>"""
CONTROLS = parse_label_config(FORM).attributes


def said(who: int, when: int = 0, **answers: str) -> dict[str, Any]:
    """An annotation of `FORM`."""
    kinds = {"transcript": ("textarea", "text"), "remarks": ("textarea", "text")}
    result = []
    for name, answer in answers.items():
        name = name.replace("_", "-")
        kind, key = kinds.get(name, ("choices", "choices"))
        result.append({"from_name": name, "to_name": "audio", "type": kind, "value": {key: [answer]}})
    return {"id": who, "completed_by": who, "updated_at": f"2026-01-01T00:00:0{when}Z", "result": result}


def test_controls_are_known_by_their_names_or_by_what_they_offer_and_are_no_question_of_their_own() -> None:
    question = parse_label_config(FORM)
    assert question.control == "label"
    found = {asked.attribute: (asked.name, asked.kind) for asked in question.attributes}
    assert found == {
        "gender": ("voice", "choices"),
        "style": ("speaking-style", "choices"),
        "transcript": ("transcript", "textarea"),
    }
    assert parse_label_config(FORM, "voice").control == "voice"
    assert "gender" not in {asked.attribute for asked in parse_label_config(FORM, "voice").attributes}


def test_fields_are_known_by_name_and_the_setting_goes_before() -> None:
    data = {"sex": "f", "transcript": " Hello  ", "lang": None, "corpus": {"not": "text"}, "words": "Bye", "x": 7}
    assert read_attributes(data, [], (), {}) == {"gender": "f", "transcript": "Hello"}
    named = read_attributes(data, [], (), {"transcript": "words", "quality": "x", "gender": "nowhere"})
    assert named == {"transcript": "Bye", "quality": "7"}


@pytest.mark.parametrize(("name", "longest"), [("gender", 200), ("style", 200), ("transcript", 10_000)])
def test_a_value_of_any_length_is_kept_up_to_a_length(name: str, longest: int) -> None:
    for text in ("ü" * longest, "x" * (longest - 1)):
        found = read_attributes({name: text}, [], (), {})[name]
        assert (found, was_cut(name, found)) == (text, False)
    for data, answers in (({name: "x" * 2_000_000}, []), ({}, [said(1, transcript="x" * 2_000_000)])):
        found = read_attributes(data, answers, CONTROLS, {})
        if name in found:
            assert (len(found[name]), found[name][-1], was_cut(name, found[name])) == (longest, "…", True)


def test_what_people_say_goes_before_fields_by_majority_then_by_the_latest() -> None:
    three = [said(1, voice="Female"), said(2, voice="Male"), said(3, voice="Female", transcript="one")]
    assert read_attributes({"gender": "m"}, three, CONTROLS, {}) == {"gender": "Female", "transcript": "one"}
    two = [said(1, 2, transcript="corrected"), said(2, 1, transcript="first")]
    assert read_attributes({}, two, CONTROLS, {}) == {"transcript": "corrected"}


def test_skips_predictions_left_as_shown_and_parts_of_a_clip_say_nothing() -> None:
    skipped = said(1, voice="Female") | {"was_cancelled": True}
    shown, part = said(2, voice="Female"), said(3, voice="Female")
    shown["result"][0]["origin"] = "prediction"
    part["result"][0]["value"] |= {"start": 0.0, "end": 1.0}
    assert read_attributes({}, [skipped, shown, part, said(4, voice="Male")], CONTROLS, {}) == {"gender": "Male"}
    assert read_attributes({}, [said(5, voice="Male")], CONTROLS, {}, made=[5]) == {}


def test_another_field_for_an_attribute_is_read_anew_and_a_change_is_seen() -> None:
    fake = FakeLabelStudio(label_config=FORM.replace('"label"', '"emotion"'))
    first, second = fake.add_task(sex="f", who="m"), fake.add_task()
    found, cache = read_snapshot(fake, 1, TaskCache())
    assert [task.attributes for task in found.tasks.values()] == [{"gender": "f"}, {}]
    fake.submit(second, said(1, voice="Male")["result"])
    found, cache = read_snapshot(fake, 1, cache)
    assert found.tasks[second].attributes == {"gender": "Male"}
    found, _ = read_snapshot(fake, 1, cache, attributes={"gender": "who"})
    assert found.tasks[first].attributes == {"gender": "m"}


@pytest.mark.parametrize("text", ["gender=sex, transcript=words", '{"gender": "sex", "transcript": "words"}'])
def test_both_forms_of_the_setting_say_the_same(text: str) -> None:
    assert parse_attribute_fields(text) == {"gender": "sex", "transcript": "words"}


@pytest.mark.parametrize("text", ["gender", "gender=", "age=years", "{", '{"gender": 3}'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"must look like|no attribute 'age'"):
        parse_attribute_fields(text)
