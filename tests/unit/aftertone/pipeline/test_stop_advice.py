"""The stop advice of a project, from its rounds' records."""

from typing import Any

from aftertone.pipeline.stop_advice import stop_advice
from aftertone.store.rounds import Round, TrainingRecord
from tests.unit.aftertone.records import QUESTION, make_round

CLIPS = 2_000
TRAINING = TrainingRecord(
    tuning="probe", warm=False, updates=1, retries=0, collapsed=False, train_accuracy=1.0, losses=(),
    per_class=(50.0, 50.0, 50.0), temperature=1.0,
)  # fmt: skip
TRUTH = {f"t{i}": tuple(float(c == i % 3) for c in range(3)) for i in range(CLIPS)}
SPEAKERS = {clip: f"s{i % 12}" for i, clip in enumerate(TRUTH)}


def trained(number: int, labels: int, **fields: Any) -> Round:
    answers = {clip: (QUESTION.classes[label.index(1.0)],) for clip, label in TRUTH.items()}
    made = {
        "labelled": {f"l{i}": (1.0, 0.0, 0.0) for i in range(labels)},
        "training": TRAINING,
        "stops": {f"p{i}": i % 3 for i in range(100)} | {f"l{i}": 2 * (i < labels) for i in range(600)},
        "test_answers": answers,
    }
    return make_round(number, kind="trained", **{**made, **fields})


def test_rounds_are_compared_on_the_newest_rounds_test_labels_and_on_unlabelled_clips() -> None:
    rounds = [trained(1, 200), trained(2, 400), trained(3, 600, tested=TRUTH)]  # the first two knew no test label
    advice = stop_advice(rounds, SPEAKERS, 0)
    said = advice.sentence
    assert advice.stop
    assert said.startswith("More labels will probably change little: the last 3 rounds agree (kappa 1.00")
    assert "over 12 speakers" in said


def test_rounds_of_older_versions_and_of_other_classes_do_not_count() -> None:
    old = [trained(number, 100 * number, test_answers={}) for number in (1, 2, 3)]
    said = stop_advice([*old, trained(4, 400, tested=TRUTH)], SPEAKERS, 0).sentence
    assert said.startswith("Keep labelling") or said.startswith("Can't tell yet")
    assert "too small to tell" in said
    others = [trained(number, 100 * number, classes=("a", "b", "c")) for number in (1, 2, 3)]
    assert "there are 1" in stop_advice([*others, trained(4, 400, tested=TRUTH)], SPEAKERS, 0).sentence


def test_a_label_on_which_annotators_disagree_judges_nobody() -> None:
    torn = dict.fromkeys(TRUTH, (0.5, 0.5, 0.0))
    rounds = [trained(1, 200), trained(2, 400), trained(3, 600, tested=torn)]
    assert "too small to tell" in stop_advice(rounds, SPEAKERS, 0).sentence
