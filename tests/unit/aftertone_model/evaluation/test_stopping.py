import numpy as np
import pytest

from aftertone_model.evaluation.metrics import measure
from aftertone_model.evaluation.stopping import MIN_TEST_CLIPS, Milestone, advise, stop_set

CLASSES = ("angry", "calm")


def held_out(accuracy, clips=200):
    """Measured on a test set where that share of each class is right."""
    truth = np.arange(clips) % 2
    right = np.arange(clips) // 2 < round(accuracy * clips / 2)
    return measure(truth, np.eye(2)[np.where(right, truth, 1 - truth)], CLASSES)


def milestone(labels, accuracy=0.8, flipped=0, per_class=(60.0, 60.0), clips=200):
    predictions = np.arange(1000) % 2
    predictions[:flipped] = 1 - predictions[:flipped]
    return Milestone(
        labels=labels, per_class=per_class, predictions=tuple(predictions.tolist()), metrics=held_out(accuracy, clips)
    )


def test_says_stop_when_stable_flat_and_every_class_is_there():
    advice = advise([milestone(100), milestone(200, 0.805), milestone(300)], CLASSES)
    assert advice.stop
    assert advice.kappa == 1.0
    assert advice.sentence.startswith("More labels will probably change little: the last 3 rounds agree")
    assert "no longer improves measurably" in advice.sentence


def test_rounds_that_disagree_keep_labelling():
    advice = advise([milestone(100), milestone(200, flipped=100), milestone(300)], CLASSES)
    assert not advice.stop
    assert advice.kappa == pytest.approx(0.8)
    assert "still disagree (kappa 0.80" in advice.sentence


def test_a_rising_exam_keeps_labelling():
    advice = advise([milestone(100, 0.6), milestone(200, 0.75), milestone(300, 0.9)], CLASSES)
    assert not advice.stop
    assert advice.slope is not None
    assert advice.slope.low > 0
    assert advice.slope.value == pytest.approx(0.15, abs=0.01)


def test_the_slopes_interval_by_hand():
    rounds = [milestone(100), milestone(200), milestone(300)]
    first = rounds[0].metrics
    assert first is not None
    error = (first.ua.high - first.ua.low) / 3.92
    slope = advise(rounds, CLASSES).slope
    assert slope is not None
    assert slope.value == pytest.approx(0.0, abs=1e-9)
    assert slope.high == pytest.approx(1.96 * error / np.sqrt(2))  # labels −1, 0, +1 hundred about their mean


def test_a_scarce_class_keeps_labelling():
    advice = advise([milestone(n, per_class=(100.0, 5.0)) for n in (100, 200, 300)], CLASSES)
    assert not advice.stop
    assert "fewer than 20 labels for calm" in advice.sentence


def test_a_small_exam_is_not_trusted():
    advice = advise([milestone(n, clips=MIN_TEST_CLIPS - 2) for n in (100, 200, 300)], CLASSES)
    assert not advice.stop
    assert advice.slope is None
    assert "too small to tell" in advice.sentence


def test_too_few_rounds():
    assert advise([], CLASSES).sentence == "Keep labelling: advice needs 3 rounds, there are 0."


def test_the_same_number_of_labels_has_no_slope():
    assert advise([milestone(100)] * 3, CLASSES).slope is None


def test_the_stop_set_is_a_seeded_choice():
    ids = [str(i) for i in range(5000)]
    assert len(stop_set(ids)) == 2000
    assert stop_set(ids) == stop_set(ids[::-1])
    assert set(stop_set(ids)) != set(stop_set(ids, seed=1))
