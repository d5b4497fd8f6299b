"""Each way a person can answer, counted as a person would."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aftertone.labelstudio.annotations import count_votes, list_work, well_formed
from aftertone.labelstudio.label_config import parse_label_config
from aftertone.labelstudio.tasks import Answer
from aftertone.labelstudio.untouched import made_from_predictions
from aftertone_model.labels import MultipleChoice, SingleChoice
from tests.label_configs import AUDIO, choices
from tests.unit.aftertone.records import QUESTION, SCHEMA


def target(answer: Answer, *more: str) -> list[float] | None:
    """The soft label, with further classes in the label config."""
    found = SingleChoice(classes=(*SCHEMA.classes, *more)).target(answer.votes, answer.voters)
    return None if found is None else found.tolist()


def annotation(who: int, *labels: str, at: str = "2026-01-01T00:00:00Z", **fields: Any) -> dict[str, Any]:
    value = {"choices": list(labels)}
    result = [{"from_name": "emotion", "to_name": "audio", "type": "choices", "value": value}] if labels else []
    return {"id": 1, "completed_by": who, "updated_at": at, "result": result, "was_cancelled": False, **fields}


def test_one_annotator_is_a_hard_label() -> None:
    answer = count_votes([annotation(1, "happy")], QUESTION)
    assert answer.given
    assert target(answer) == [0, 1, 0]


def test_two_annotators_who_disagree_share_the_label() -> None:
    answer = count_votes([annotation(1, "happy"), annotation(2, "sad")], QUESTION)
    assert target(answer) == [0, 0.5, 0.5]


def test_three_annotators_weigh_by_votes() -> None:
    answer = count_votes([annotation(1, "happy"), annotation(2, "sad"), annotation(3, "sad")], QUESTION)
    assert target(answer) == pytest.approx([0, 1 / 3, 2 / 3])


def test_an_edit_replaces_the_first_answer_of_the_same_person() -> None:
    edited = [annotation(1, "happy", at="2026-01-01T00:00:00Z"), annotation(1, "sad", at="2026-01-02T00:00:00Z")]
    assert count_votes(edited, QUESTION).votes == {"sad": 1}
    assert count_votes(reversed(edited), QUESTION).votes == {"sad": 1}


def test_cancelled_is_no_vote_even_when_it_carries_a_result() -> None:
    answer = count_votes([annotation(1, "happy", was_cancelled=True)], QUESTION)
    assert not answer.given
    assert answer.skipped


def test_a_skip_beside_an_answer_changes_nothing() -> None:
    answer = count_votes([annotation(1, was_cancelled=True), annotation(2, "sad")], QUESTION)
    assert answer.votes == {"sad": 1}
    assert not answer.skipped


def test_a_blank_submission_is_skipped_over() -> None:
    answer = count_votes([annotation(1)], QUESTION)
    assert answer.skipped
    assert target(answer) is None


def test_no_annotation_is_neither_given_nor_skipped() -> None:
    answer = count_votes([], QUESTION)
    assert not answer.given
    assert not answer.skipped


def left(who: int, *labels: str, **fields: Any) -> dict[str, Any]:
    """A form that came filled in and was submitted as it was."""
    made = annotation(who, *labels, **fields)
    return {**made, "result": [{**item, "origin": "prediction"} for item in made["result"]]}


def test_a_prediction_that_was_submitted_as_it_was_shown_is_no_vote() -> None:
    answer = count_votes([left(1, "happy")], QUESTION)
    assert not answer.given
    assert answer.skipped  # Label Studio takes it for done: it is asked for last
    assert answer.untouched == 1
    both = count_votes([left(1, "happy"), annotation(2, "sad")], QUESTION)
    assert (both.votes, both.voters, both.untouched) == ({"sad": 1}, 1, 1)


def test_a_prediction_that_was_changed_is_a_vote() -> None:
    changed = annotation(1, "sad")
    changed["result"][0]["origin"] = "prediction-changed"
    answer = count_votes([changed], QUESTION)
    assert (answer.votes, answer.untouched) == ({"sad": 1}, 0)


def test_another_question_answered_beside_an_untouched_prediction_makes_it_no_vote() -> None:
    shown = left(1, "happy")
    other = {"from_name": "quality", "type": "choices", "value": {"choices": ["good"]}, "origin": "manual"}
    assert not count_votes([{**shown, "result": [*shown["result"], other]}], QUESTION).given


def test_untouched_predictions_count_where_they_are_switched_on_or_starred() -> None:
    answer = count_votes([left(1, "happy"), annotation(2, "sad")], QUESTION, count_untouched=True)
    assert (answer.votes, answer.untouched) == ({"happy": 1, "sad": 1}, 1)
    starred = count_votes([left(1, "happy", ground_truth=True)], QUESTION)
    assert (starred.votes, starred.final, starred.untouched) == ({"happy": 1}, True, 0)


def test_annotations_made_of_predictions_are_no_votes_even_when_the_prediction_is_gone() -> None:
    made = {**annotation(1, "happy"), "id": 7, "parent_prediction": 3, "lead_time": None}
    blank = {**annotation(1), "id": 8, "parent_prediction": 4, "lead_time": None}
    served = {**annotation(2, "sad"), "id": 9, "parent_prediction": 3, "lead_time": 2.5}  # by a person, from the queue
    assert made_from_predictions([made, blank, served]) == (7, 8)
    orphans = [{**a, "parent_prediction": None} for a in (made, blank, served)]
    assert made_from_predictions(orphans) == ()
    assert made_from_predictions(orphans, (7, 8)) == (7, 8)
    answer = count_votes(orphans, QUESTION, made=(7, 8))
    assert (answer.votes, answer.untouched) == ({"sad": 1}, 2)
    edited = {**made, "result": [{**made["result"][0], "origin": "manual"}]}
    assert made_from_predictions([edited], (7,)) == ()


def test_ground_truth_outvotes_everybody() -> None:
    answer = count_votes(
        [annotation(1, "happy"), annotation(2, "happy"), annotation(3, "sad", ground_truth=True)], QUESTION
    )
    assert answer.votes == {"sad": 1}


def test_a_label_that_left_the_label_config_counts_for_nothing_until_it_returns() -> None:
    answer = count_votes([annotation(1, "bored"), annotation(2, "sad")], QUESTION)
    assert target(answer) == [0, 0, 1]
    assert target(answer, "bored") == [0, 0, 0.5, 0.5]
    only_bored = count_votes([annotation(1, "bored")], QUESTION)
    assert only_bored.given
    assert target(only_bored) is None


def test_one_person_with_two_choices_has_half_a_vote_for_each() -> None:
    assert count_votes([annotation(1, "happy", "sad")], QUESTION).votes == {"happy": 0.5, "sad": 0.5}


def test_other_questions_and_other_shapes_are_left_aside() -> None:
    other = annotation(1, "happy")
    other["result"] = [
        {"from_name": "quality", "type": "choices", "value": {"choices": ["good"]}},
        {"from_name": "emotion", "type": "choices", "value": {"choices": [["nested"]]}},
        {"from_name": "note", "type": "textarea", "value": {"text": ["x"]}},
    ]
    assert not count_votes([other], QUESTION).given


@pytest.mark.parametrize("who", [7, {"id": 7, "email": "a@b.co"}])
def test_the_annotator_may_be_a_number_or_a_user(who: Any) -> None:
    both = [annotation(who, "happy", at="2026-01-01"), annotation(7, "sad", at="2026-01-02")]
    assert count_votes(both, QUESTION).votes == {"sad": 1}


def test_each_annotator_of_several_choices_counts_once_for_each_class() -> None:
    question = replace(QUESTION, schema=MultipleChoice(classes=SCHEMA.classes))
    answer = count_votes([annotation(1, "happy", "sad"), annotation(2, "sad"), annotation(3)], question)
    assert answer.votes == {"happy": 1, "sad": 2}
    assert answer.voters == 2
    np.testing.assert_array_equal(question.schema.target(answer.votes, answer.voters), [0, 0.5, 1])


def test_who_voted_is_remembered_and_a_star_is_final() -> None:
    answer = count_votes([annotation(1, "happy"), annotation(2, "sad"), annotation(3)], QUESTION)
    assert answer.by == {"1": ("happy",), "2": ("sad",)}
    assert not answer.final
    starred = count_votes([annotation(1, "happy"), annotation(2, "sad", ground_truth=True)], QUESTION)
    assert starred.by == {"2": ("sad",)}
    assert starred.final


@pytest.mark.parametrize("attributes", [{}, {"required": "true"}], ids=["may be blank", "required"])
def test_a_blank_multiple_choice_is_skipped_whatever_the_label_config_says(attributes: dict[str, str]) -> None:
    """`required` keeps Label Studio's form from being submitted blank; what comes by API is no answer of a person."""
    several = parse_label_config(f"<View>{AUDIO}{choices('happy', 'sad', choice='multiple', **attributes)}</View>")
    answer = count_votes([annotation(1)], several)
    assert answer.skipped
    assert not answer.given
    assert several.schema.target(answer.votes, answer.voters) is None
    assert [work.chosen for work in list_work([annotation(1)], several)] == [()]


@pytest.mark.parametrize(
    "result",
    [
        None,
        "happy",
        [None, "happy", 5],
        [{"from_name": "emotion", "type": "choices", "value": None}],
        [{"from_name": "emotion", "type": "choices", "value": ["happy"]}],
        [{"from_name": "emotion", "type": "choices", "value": {"choices": 5}}],
        [{"from_name": "emotion", "type": "choices", "value": {"choices": "happy", "start": 10**400, "text": True}}],
    ],
)
def test_what_no_labelling_page_sends_is_an_answer_without_a_label(result: Any) -> None:
    answer = count_votes([well_formed(annotation(1) | {"result": result})], QUESTION)
    assert not answer.given


def test_what_a_labelling_page_sends_is_left_as_it_is() -> None:
    sent = annotation(1, "happy")
    sent["result"].append(
        {"from_name": "said", "type": "textarea", "value": {"text": ["well"], "start": 1, "end": 2.5}}
    )
    assert well_formed(sent) == sent
