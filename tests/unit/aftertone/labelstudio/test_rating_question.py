"""Rating and Number tags: which question they ask, and answers that Label Studio takes and that read back the same."""

from typing import Any

import numpy as np
import pytest
from label_studio_sdk.label_interface.interface import LabelInterface

from aftertone.labelstudio.annotations import count_votes
from aftertone.labelstudio.label_config import parse_label_config
from aftertone_model.labels import Ratings, Scale

TWO = """<View><Audio name="audio" value="$sound"/>
<Rating name="valence" toName="audio" maxRating="7"/>
<Number name="arousal" toName="audio" min="-1" max="1" step="0.25"/></View>"""


def config(*tags: str) -> str:
    return f'<View><Audio name="audio" value="$audio"/>{"".join(tags)}</View>'


def rated(who: int, **ratings: float) -> dict[str, Any]:
    """An annotation of `TWO` as Label Studio exports it."""
    kinds = {"valence": "rating", "arousal": "number"}
    result = [
        {"from_name": name, "to_name": "audio", "type": kinds[name], "value": {kinds[name]: value}}
        for name, value in ratings.items()
    ]
    return {"id": who, "completed_by": who, "updated_at": "2026-01-01T00:00:00Z", "result": result}


def test_ratings_and_numbers_of_dimensions_are_one_question() -> None:
    question = parse_label_config(TWO)
    assert (question.audio, question.field, question.control) == ("audio", "sound", "valence+arousal")
    assert question.schema == Ratings(
        classes=("valence", "arousal"), scales=(Scale(low=1, high=7), Scale(low=-1, high=1))
    )


CHOICE = '<Choices name="emotion" toName="audio"><Choice value="a"/><Choice value="b"/></Choices>'
QUALITY = '<Rating name="quality" toName="audio"/>'


def test_a_choice_beside_them_is_the_question_unless_another_is_named() -> None:
    both = TWO.replace("</View>", f"{CHOICE}</View>")
    assert parse_label_config(both).control == "emotion"
    for name in ("valence", "arousal", "valence+arousal"):
        assert parse_label_config(both, name).control == "valence+arousal"
    assert parse_label_config(config('<Number name="arousal" toName="audio"/>', CHOICE)).control == "emotion"


def test_ratings_of_emotion_go_before_a_choice_about_something_else() -> None:
    other = CHOICE.replace("emotion", "noise")
    assert parse_label_config(TWO.replace("</View>", f"{other}</View>")).control == "valence+arousal"
    assert parse_label_config(config(QUALITY, other)).control == "noise"


def test_any_other_rating_is_asked_alone_and_after_dimensions() -> None:
    assert parse_label_config(config(QUALITY)).schema == Ratings(classes=("quality",), scales=(Scale(low=1, high=5),))
    both = config(QUALITY, '<Rating name="arousal_rating" toName="audio" maxRating="9"/>')
    assert parse_label_config(both).control == "arousal_rating"


def test_a_dimension_without_a_range_is_left_out_and_told() -> None:
    question = parse_label_config(TWO.replace('max="1"', ""))
    assert question.classes == ("valence",)
    assert question.notes == ('Number "arousal" has no range: set min and max, such as min="1" max="5".',)


def test_annotators_means_are_the_target_and_what_nobody_rated_is_missing() -> None:
    question = parse_label_config(TWO)
    answer = count_votes([rated(1, valence=1, arousal=0.5), rated(2, valence=4), rated(3)], question)
    assert answer.by == {"1": ("valence=1", "arousal=0.5"), "2": ("valence=4",)}
    assert answer.voters == 2
    assert question.schema.target(answer.votes, answer.voters) == pytest.approx([0.25, 0.75])
    partial = question.schema.target(*_votes(rated(2, valence=4)))
    assert partial is not None
    assert np.isnan(partial).tolist() == [False, True]


def _votes(annotation: dict[str, Any]) -> Any:
    answer = count_votes([annotation], parse_label_config(TWO))
    return answer.votes, answer.voters


@pytest.mark.parametrize("value", [0, None, "3", True, float("nan")])
def test_no_star_and_what_is_no_number_are_no_answer(value: Any) -> None:
    answer = count_votes([rated(1, valence=value)], parse_label_config(TWO))
    assert not answer.given
    assert answer.skipped


def test_a_rating_off_the_scale_counts_for_nothing() -> None:
    answer = count_votes([rated(1, valence=8)], parse_label_config(TWO))
    assert answer.given
    assert answer.voters == 0
    assert parse_label_config(TWO).schema.target(answer.votes, answer.voters) is None


@pytest.mark.parametrize(("shares", "shown"), [((0.5, 0.5), (4, 0)), ((0.97, 0.9), (7, 0.75)), ((0, 1), (1, 1))])
def test_a_prediction_is_valid_and_reads_back_as_the_nearest_answer(shares: Any, shown: tuple[float, ...]) -> None:
    question = parse_label_config(TWO)
    result = question.result(question.schema.answer(shares))
    assert [next(iter(row["value"].values())) for row in result] == list(shown)
    assert LabelInterface(TWO).validate_prediction({"result": result, "score": 0.0}, return_errors=True) == []
    annotation = {"id": 1, "completed_by": 1, "updated_at": "", "result": result}
    assert question.chosen(annotation) == (f"valence={shown[0]}", f"arousal={shown[1]}")
    assert question.result(("dominance=3",)) == []
    assert question.result(()) == []
