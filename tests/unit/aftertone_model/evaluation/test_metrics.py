import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score, recall_score

from aftertone_model.evaluation.estimate import MIN_CLIPS, Estimate
from aftertone_model.evaluation.metrics import calibration_error, measure, measure_independent

CLASSES = ("angry", "happy", "neutral", "sad")


def ends(figure):
    """Both ends of an interval that there is."""
    assert figure.ends is not None
    return figure.ends


def width(figure):
    low, high = ends(figure)
    return high - low


def covers(figure, truth):
    low, high = ends(figure)
    return low <= truth <= high


def held_out(clips=200, seed=0, skill=1.0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(4, size=clips)
    logits = rng.normal(size=(clips, 4)) + skill * np.eye(4)[truth]
    return truth, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
def test_figures_equal_scikit_learns(seed):
    truth, probabilities = held_out(seed=seed)
    predicted = probabilities.argmax(axis=1)
    metrics = measure(truth, probabilities, CLASSES)
    assert metrics.ua.value == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert metrics.wa.value == pytest.approx(accuracy_score(truth, predicted))
    assert metrics.macro_f1.value == pytest.approx(f1_score(truth, predicted, average="macro"))
    recall = recall_score(truth, predicted, average=None)  # pyright: ignore[reportArgumentType] -- None: of each class
    assert metrics.recall == pytest.approx(tuple(np.asarray(recall)))
    assert np.array_equal(metrics.confusion, confusion_matrix(truth, predicted))


def test_a_class_without_clips_has_no_recall_and_does_not_count_in_ua():
    truth = np.array([0, 0, 1, 1])
    probabilities = np.eye(4)[[0, 2, 1, 1]]
    metrics = measure(truth, probabilities, CLASSES)
    assert metrics.recall == (0.5, 1.0, None, None)
    assert metrics.ua.value == 0.75
    assert metrics.wa.value == 0.75


def test_intervals_hold_the_figure_and_narrow_with_more_clips():
    few = measure(*held_out(40), CLASSES)
    many = measure(*held_out(2000), CLASSES)
    for metrics in (few, many):
        for figure in (metrics.ua, metrics.wa, metrics.macro_f1):
            low, high = ends(figure)
            assert 0 <= low < figure.value < high <= 1
    assert width(many.ua) < width(few.ua) / 4


def test_the_interval_of_wa_is_the_binomial_one():
    truth, probabilities = held_out(1000)
    wa = measure(truth, probabilities, CLASSES).wa
    half = 1.96 * np.sqrt(wa.value * (1 - wa.value) / 1000)
    assert width(wa) == pytest.approx(2 * half, rel=0.1)


def test_clips_of_one_speaker_are_resampled_together():
    truth, probabilities = held_out(20)
    repeated = np.repeat(truth, 30), np.repeat(probabilities, 30, axis=0)
    alone = measure(*repeated, CLASSES).wa
    together = measure(*repeated, CLASSES, speakers=[f"s{i // 30}" for i in range(600)]).wa
    assert width(together) > 3 * width(alone)


def test_segments_of_one_file_are_resampled_together_where_speakers_are_unknown():
    truth, probabilities = held_out(20)
    repeated = np.repeat(truth, 30), np.repeat(probabilities, 30, axis=0)
    files = [f"f{i // 30}" for i in range(600)]
    by_file = measure(*repeated, CLASSES, files=files)
    by_speaker = measure(*repeated, CLASSES, speakers=files).wa
    assert (by_file.wa.low, by_file.wa.high) == (by_speaker.low, by_speaker.high)
    assert (by_file.basis, by_file.speakers) == ("clips", None)
    one_each = measure(truth, probabilities, CLASSES, files=[f"f{19 - i}" for i in range(20)])
    assert one_each == measure(truth, probabilities, CLASSES)


EFFECT = 0.7  # logits by which voices differ in how well they are understood, standard deviation
LOGIT = 0.4  # of being right, for the average voice


def measured_speakers(seed, speakers, each, known=True):
    """A test set of new voices, some harder than others."""
    rng = np.random.default_rng(seed)
    truth = np.arange(speakers * each) % 4
    voice = np.repeat(np.arange(speakers), each)
    right = rng.random(len(truth)) < expit(LOGIT + EFFECT * rng.normal(size=speakers)[voice])
    predicted = np.where(right, truth, (truth + rng.integers(1, 4, len(truth))) % 4)
    return measure(truth, np.eye(4)[predicted], CLASSES, speakers=[str(v) for v in voice] if known else None, seed=seed)


@pytest.mark.parametrize(("speakers", "each"), [(6, 30), (9, 30), (9, 60), (10, 30), (24, 30)])
def test_intervals_cover_what_new_speakers_would_give(speakers, each):
    population = expit(LOGIT + EFFECT * np.random.default_rng(1).normal(size=100_000)).mean()
    found = [measured_speakers(seed, speakers, each) for seed in range(120)]
    assert {one.basis for one in found} == {"speakers"}
    assert np.mean([covers(one.ua, population) for one in found]) >= 0.90
    assert np.mean([covers(one.wa, population) for one in found]) >= 0.90


def test_few_voices_or_unknown_ones_claim_nothing_for_new_speakers():
    few, one, unknown = measured_speakers(0, 2, 30), measured_speakers(0, 1, 30), measured_speakers(0, 9, 30, False)
    assert [m.basis for m in (few, one, unknown)] == ["clips"] * 3
    assert [m.speakers for m in (few, one, unknown)] == [2, 1, None]
    assert few.scope == "2 voices: no interval for new speakers"
    assert one.scope == "1 voice: no interval for new speakers"
    assert unknown.scope == "speakers unknown: no interval for new speakers"
    assert measured_speakers(0, 5, 30).scope == "over 5 speakers"


def test_one_unknown_voice_makes_speakers_unknown():
    truth, probabilities = held_out(60)
    speakers = [*(f"s{i % 10}" for i in range(59)), None]
    assert measure(truth, probabilities, CLASSES, speakers=speakers).speakers is None


def test_same_seed_same_intervals():
    truth, probabilities = held_out()
    assert measure(truth, probabilities, CLASSES, seed=3) == measure(truth, probabilities, CLASSES, seed=3)
    assert measure(truth, probabilities, CLASSES, seed=3).ua != measure(truth, probabilities, CLASSES, seed=4).ua


def test_calibration_error_by_hand():
    # Two clips at 0.9 of which one is right, two at 0.6 both right: (2 |0.5 − 0.9| + 2 |1 − 0.6|) / 4.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    assert calibration_error(np.array([0, 1, 0, 0]), probabilities) == pytest.approx(0.4)


def test_certain_and_right_is_calibrated():
    assert calibration_error(np.array([0, 1]), np.eye(2)) == 0.0


def test_independent_classes_are_measured_one_by_one():
    rng = np.random.default_rng(0)
    truth = rng.random((300, 2)) < (0.5, 0.1)
    probabilities = np.clip(0.3 + 0.4 * truth + rng.normal(size=(300, 2)) * 0.3, 0, 1)
    found = measure_independent(truth, probabilities, ("tired", "ironic"))
    said = probabilities >= 0.5
    pairs = [(truth[:, c], said[:, c]) for c in range(2)]
    assert found.ua.value == pytest.approx(np.mean([balanced_accuracy_score(*pair) for pair in pairs]))
    assert found.wa.value == pytest.approx(np.mean([accuracy_score(*pair) for pair in pairs]))
    assert found.macro_f1.value == pytest.approx(f1_score(truth, said, average="macro"))
    assert found.recall == pytest.approx([recall_score(*pair) for pair in pairs])
    assert found.confusion == tuple(tuple(confusion_matrix(*pair).ravel()) for pair in pairs)
    assert covers(found.ua, found.ua.value)
    assert found.clips == 300


def test_an_empty_test_set_is_refused():
    with pytest.raises(ValueError, match="without clips"):
        measure(np.empty(0, int), np.empty((0, 4)), CLASSES)


@pytest.mark.parametrize(("clips", "classes"), [(1, 4), (2, 2), (4, 4), (8, 8), (MIN_CLIPS - 1, 4)])
def test_a_few_clips_give_a_figure_and_no_interval(clips, classes):
    """A bootstrap of one clip, or of one per class, would say that the figure is 0 or 1 for sure."""
    names = tuple(f"c{number}" for number in range(classes))
    truth = np.arange(clips) % classes
    for right in (truth, np.where(np.arange(clips) % 2, truth, (truth + 1) % classes)):
        metrics = measure(truth, np.eye(classes)[right], names)
        assert {figure.ends for figure in (metrics.ua, metrics.wa, metrics.macro_f1)} == {None}
        assert (metrics.ua.low, metrics.ua.high) == (None, None)
        assert f"UA {metrics.ua.value:.3f} [too few test clips for an interval]" in metrics.summary
        independent = measure_independent(np.eye(classes)[truth] > 0, np.eye(classes)[right], names)
        assert independent.ua.ends is None


def test_a_test_set_without_a_mistake_claims_no_certainty():
    truth = np.arange(60) % 4
    metrics = measure(truth, np.eye(4)[truth], CLASSES)
    assert metrics.ua == Estimate(value=1.0, low=None, high=None)
    assert Estimate(value=1.0, low=1.0, high=1.0).ends is None  # as earlier versions kept it


def simulated(recalls: tuple[float, ...], clips: int) -> list[Estimate]:
    """UA of a model of known recalls on 200 test sets."""
    rng, names, found = np.random.default_rng(0), CLASSES[: len(recalls)], []
    for seed in range(200):
        truth = rng.integers(len(names), size=clips)
        right = rng.random(clips) < np.array(recalls)[truth]
        guess = np.where(right, truth, (truth + rng.integers(1, len(names), clips)) % len(names))
        found.append(measure(truth, np.eye(len(names))[guess], names, seed=seed).ua)
    return found


@pytest.mark.parametrize("recalls", [(0.9, 0.7, 0.6, 0.5), (0.8, 0.6)])
def test_the_smallest_test_sets_that_get_an_interval_are_covered_by_it(recalls):
    told = [figure for figure in simulated(recalls, MIN_CLIPS) if figure.ends]
    assert len(told) > 190
    assert np.mean([covers(figure, np.mean(recalls)) for figure in told]) >= 0.88


@pytest.mark.parametrize("clips", [1, 2, 4])
def test_intervals_of_fewer_clips_would_hold_the_truth_too_seldom(clips, monkeypatch):
    monkeypatch.setattr("aftertone_model.evaluation.estimate.MIN_CLIPS", 1)
    recalls = (0.9, 0.7, 0.6, 0.5)
    held = [figure.ends is not None and covers(figure, np.mean(recalls)) for figure in simulated(recalls, clips)]
    assert np.mean(held) < 0.85
