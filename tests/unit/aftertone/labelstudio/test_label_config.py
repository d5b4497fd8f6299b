import pytest

from aftertone.errors import LabelConfigError
from aftertone.labelstudio.label_config import SMALLEST_CONFIG, parse_label_config


def test_the_smallest_config_of_the_message_works() -> None:
    question = parse_label_config(SMALLEST_CONFIG)
    assert (question.audio, question.field, question.control) == ("audio", "audio", "emotion")
    assert question.classes == ("neutral", "happy")


def test_an_alias_is_what_label_studio_stores() -> None:
    config = SMALLEST_CONFIG.replace('value="happy"', 'value="Happy :)" alias="happy"')
    assert parse_label_config(config).classes == ("neutral", "happy")


def test_other_questions_are_left_aside() -> None:
    other = (
        '<Choices name="tags" toName="audio" choice="multiple"><Choice value="a"/><Choice value="b"/></Choices>'
        '<Choices name="part" toName="audio" perRegion="true"><Choice value="a"/><Choice value="b"/></Choices>'
        '<Choices name="one" toName="audio"><Choice value="a"/></Choices>'
    )
    config = SMALLEST_CONFIG.replace("<Choices", other + "<Choices", 1)
    assert parse_label_config(config).control == "emotion"


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ("", "can't be parsed"),
        ("<View", "can't be parsed"),
        ("<View></View>", "no tags"),
        ('<View><Text name="t" value="$t"/></View>', "<Text name='t'>"),
        ('<View><Audio name="a" value="$a"/></View>', "<Audio name='a'>"),
    ],
)
def test_the_message_says_what_was_found_and_what_works(config: str, found: str) -> None:
    with pytest.raises(LabelConfigError) as error:
        parse_label_config(config)
    assert found in str(error.value)
    assert SMALLEST_CONFIG in str(error.value)
