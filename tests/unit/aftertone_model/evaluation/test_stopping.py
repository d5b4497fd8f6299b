"""Stop advice: what each reason says, and simulated projects whose true gain is known."""

from collections import Counter

import numpy as np
import pytest

from aftertone_model.evaluation.held_out import MIN_GAIN, MIN_TEST_CLIPS, Milestone, Trend
from aftertone_model.evaluation.slope import HeldOutLabels, slope_of
from aftertone_model.evaluation.stopping import advise, stop_set

CLASSES = ("angry", "calm")
CLIPS = 2_000


def answers(accuracy, clips=CLIPS):
    """Of a test set where that share of each class is right."""
    right = np.arange(clips) // 2 < round(accuracy * clips / 2)
    return {f"t{i}": (CLASSES[(i + (not right[i])) % 2],) for i in range(clips)}


def held_out(clips=CLIPS, speakers=20):
    return HeldOutLabels(
        answers={f"t{i}": (CLASSES[i % 2],) for i in range(clips)},
        speakers={f"t{i}": f"s{(i // 2) % speakers}" if speakers else None for i in range(clips)},
        exclusive=True,
    )


def milestone(labels, accuracy=0.8, flipped=0, per_class=(60.0, 60.0), clips=CLIPS):
    predictions = {f"p{i}": (i + (i < flipped)) % 2 for i in range(1000)}
    return Milestone(
        labels=labels, per_class=per_class, predictions=predictions, answers=answers(accuracy, clips) if clips else {}
    )


def test_says_stop_when_stable_flat_and_every_class_is_there():
    advice = advise([milestone(100), milestone(300, 0.801), milestone(500)], CLASSES, held_out())
    assert advice.stop
    assert advice.kappa == 1.0
    assert advice.sentence.startswith("More labels will probably change little: the last 3 rounds agree")
    assert "surely gains less than a point per 100 labels" in advice.sentence
    assert "over 20 speakers" in advice.sentence


def test_rounds_that_disagree_keep_labelling():
    advice = advise([milestone(100), milestone(300, flipped=100), milestone(500)], CLASSES, held_out())
    assert not advice.stop
    assert advice.kappa == pytest.approx(0.8)
    assert advice.sentence.startswith("Keep labelling: the last 3 rounds still disagree (kappa 0.80")


def test_a_rising_test_set_keeps_labelling():
    advice = advise([milestone(100, 0.6), milestone(200, 0.75), milestone(300, 0.9)], CLASSES, held_out())
    assert not advice.stop
    assert advice.slope is not None
    assert advice.slope.trend is Trend.IMPROVES
    assert advice.slope.value == pytest.approx(0.15, abs=0.01)
    assert "still improves (+15.0 points per 100 labels" in advice.sentence


def test_what_is_not_significant_is_not_flat():
    advice = advise([milestone(n, 0.6 + n / 2000, clips=100) for n in (100, 150, 200)], CLASSES, held_out(100))
    assert advice.slope is not None
    assert advice.slope.low < 0 < MIN_GAIN < advice.slope.value
    assert advice.slope.trend is Trend.UNCLEAR
    assert not advice.stop
    assert advice.sentence.startswith("Can't tell yet whether more labels pay")


def test_few_clips_that_never_change_prove_nothing():
    advice = advise([milestone(n, clips=60) for n in (100, 150, 200)], CLASSES, held_out(60))
    assert advice.slope is not None
    assert advice.slope.value == 0.0
    assert advice.slope.trend is Trend.UNCLEAR


def test_a_scarce_class_keeps_labelling():
    advice = advise([milestone(n, per_class=(100.0, 5.0)) for n in (100, 300, 500)], CLASSES, held_out())
    assert not advice.stop
    assert advice.sentence.startswith("Keep labelling")
    assert "fewer than 20 labels for calm" in advice.sentence


def test_a_small_test_set_is_not_trusted():
    few = MIN_TEST_CLIPS - 2
    advice = advise([milestone(n, clips=few) for n in (100, 200, 300)], CLASSES, held_out(few))
    assert not advice.stop
    assert advice.slope is None
    assert "too small to tell" in advice.sentence


def test_rounds_that_kept_no_answers_are_not_looked_at():
    old = [milestone(n, clips=0) for n in (100, 300, 500)]
    assert advise(old, CLASSES, held_out()).slope is None
    advice = advise([*old, *(milestone(n) for n in (600, 800, 1000))], CLASSES, held_out())
    assert advice.stop


def test_too_few_rounds():
    assert advise([], CLASSES, held_out()).sentence == "Keep labelling: advice needs 3 rounds, there are 0."


def test_the_same_number_of_labels_has_no_slope():
    assert advise([milestone(100)] * 3, CLASSES, held_out()).slope is None


def test_agreement_is_measured_on_clips_that_neither_round_learned_from():
    first, second, third = milestone(100), milestone(300), milestone(500, flipped=100)
    unlabelled = {clip: third.predictions[clip] for clip in list(third.predictions)[100:]}
    later = Milestone(labels=500, per_class=third.per_class, predictions=unlabelled, answers=third.answers)
    assert advise([first, second, later], CLASSES, held_out()).kappa == 1.0
    emptied = Milestone(labels=500, per_class=third.per_class, predictions={}, answers=third.answers)
    advice = advise([first, second, emptied], CLASSES, held_out())
    assert advice.kappa is None
    assert not advice.stop
    assert "fewer than 30 unlabelled clips" in advice.sentence


def test_whom_the_slope_holds_for():
    rounds = [milestone(n) for n in (100, 300, 500)]
    two, unknown = (advise(rounds, CLASSES, held_out(speakers=count)) for count in (2, 0))
    assert "2 voices: no interval for new speakers" in two.sentence
    assert "speakers unknown: no interval for new speakers" in unknown.sentence


def test_the_slope_of_independent_classes_is_that_of_their_mean_recall():
    truth = {f"t{i}": CLASSES[: i % 3] for i in range(90)}  # none, one or both
    always = dict.fromkeys(truth, CLASSES)  # right on every yes, wrong on every no: UA 0.5
    labels = HeldOutLabels(answers=truth, speakers={}, exclusive=False)
    slope = slope_of([(100, always), (200, truth)], CLASSES, labels)
    assert slope is not None
    assert slope.value == pytest.approx(0.5)


def project(seed, clips, gain, rounds, step=50, speakers=12):
    """The advice of a simulated project whose rounds agree (kappa 1): each round is right on a share of clips that
    rises by `gain` per 100 labels, and a tenth of the clips are predicted anew, with luck of their own."""
    rng = np.random.default_rng(seed)
    classes = ("angry", "calm", "happy", "sad")
    truth, luck = rng.integers(4, size=clips), rng.random(clips)
    voice = rng.integers(speakers, size=clips)
    skill = 0.15 * rng.normal(size=speakers)[voice]
    milestones = []
    for labels in 100 + step * np.arange(rounds):
        luck = np.where(rng.random(clips) < 0.1, rng.random(clips), luck)
        right = luck < 0.55 + gain * (labels - 100) / 100 + skill
        said = np.where(right, truth, (truth + rng.integers(1, 4, clips)) % 4)
        milestones.append(
            Milestone(
                labels=int(labels),
                per_class=(60.0,) * 4,
                predictions={str(i): 0 for i in range(100)},
                answers={str(i): (classes[c],) for i, c in enumerate(said)},
            )
        )
    labelled = HeldOutLabels(
        answers={str(i): (classes[c],) for i, c in enumerate(truth)},
        speakers={str(i): str(v) for i, v in enumerate(voice)},
        exclusive=True,
    )
    return advise(milestones, classes, labelled, seed=seed)


@pytest.mark.parametrize("clips", [50, 100, 200])
@pytest.mark.parametrize("rounds", [3, 7])
def test_a_model_that_gains_five_points_per_100_labels_is_hardly_ever_told_to_stop(clips, rounds):
    assert np.mean([project(seed, clips, gain=0.05, rounds=rounds).stop for seed in range(60)]) <= 0.05


def test_a_model_that_gains_nothing_is_told_to_stop_once_there_is_evidence():
    assert np.mean([project(seed, 1500, gain=0.0, rounds=19).stop for seed in range(20)]) >= 0.8


def test_few_test_clips_cannot_tell():
    slopes = [project(seed, 50, gain=0.0, rounds=3).slope for seed in range(40)]
    said = Counter(slope.trend for slope in slopes if slope is not None)
    assert said[Trend.UNCLEAR] >= 36


def test_the_slopes_interval_covers_the_true_gain():
    slopes = [project(seed, 300, gain=0.05, rounds=5).slope for seed in range(60)]
    assert np.mean([slope is not None and slope.low <= 0.05 <= slope.high for slope in slopes]) >= 0.9


def test_the_stop_set_is_a_seeded_choice():
    ids = [str(i) for i in range(5000)]
    assert len(stop_set(ids)) == 2000
    assert stop_set(ids) == stop_set(ids[::-1])
    assert set(stop_set(ids)) != set(stop_set(ids, seed=1))
