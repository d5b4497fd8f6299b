"""Questions about emotion are known by their names and choices, in several languages."""

import pytest

from aftertone.labelstudio.emotion_words import named_after_emotion, offers_emotions


@pytest.mark.parametrize(
    "name", ["emotion", "Primary_Emotion", "emo", "AFFECT", "Gefühl", "sentiment_score", "émotion", "эмоция", "感情"]
)
def test_names(name: str) -> None:
    assert named_after_emotion(name)


@pytest.mark.parametrize("name", ["quality", "effect", "memo", "demo", "gender", "speaker", "", "качество"])
def test_other_names(name: str) -> None:
    assert not named_after_emotion(name)


@pytest.mark.parametrize(
    "choices",
    [
        ("Happy :)", "SAD", "x"), ("joie", "Colère"), ("Wut", "Freude"), ("ang", "neu", "xxx"), ("高兴", "愤怒"),
        ("기쁨", "슬픔"), ("गुस्सा", "दुखी"), ("радость", "гнев"), ("very happy", "rather sad"),
    ],
)  # fmt: skip
def test_choices(choices: tuple[str, ...]) -> None:
    assert offers_emotions(choices)


@pytest.mark.parametrize("choices", [(), ("happy",), ("good", "bad"), ("male", "female", "neutral"), ("1", "2")])
def test_other_choices(choices: tuple[str, ...]) -> None:
    assert not offers_emotions(choices)
