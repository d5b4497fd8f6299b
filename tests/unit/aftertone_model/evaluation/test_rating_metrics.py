"""CCC and mean absolute error against other implementations, and what their intervals and slopes are for."""

import numpy as np
import pytest

from aftertone_model.evaluation.concordance import concordance, moments
from aftertone_model.evaluation.held_out import Milestone, Trend
from aftertone_model.evaluation.rating_metrics import measure_ratings
from aftertone_model.evaluation.stopping import advise
from aftertone_model.labels import Ratings, Scale

SCHEMA = Ratings(classes=("valence", "arousal"), scales=(Scale(low=1, high=5),) * 2)


def by_pearson(truth: np.ndarray, guess: np.ndarray) -> float:
    """CCC as Pearson's r times the bias correction (Lin 1989, equation 3)."""
    shift = (truth.mean() - guess.mean()) ** 2 / (truth.std() * guess.std())
    ratio = truth.std() / guess.std()
    return float(np.corrcoef(truth, guess)[0, 1] * 2 / (ratio + 1 / ratio + shift))


def drawn(clips: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random((clips, 2))
    return truth, np.clip(truth + noise * rng.normal(size=(clips, 2)), 0, 1)


def test_ccc_equals_pearsons_r_times_its_bias_correction() -> None:
    truth, guess = drawn(200, 0.3)
    found = concordance(moments(truth, guess).sum(axis=0))
    assert found == pytest.approx([by_pearson(truth[:, d], guess[:, d]) for d in range(2)])


def test_ccc_by_hand() -> None:
    truth, guess = np.array([[0.0], [0.5], [1.0]]), np.array([[0.5], [0.5], [1.0]])
    assert concordance(moments(truth, guess).sum(axis=0)) == pytest.approx([2 / 3])
    assert concordance(moments(truth, truth).sum(axis=0)) == pytest.approx([1])
    assert concordance(moments(truth, 1 - truth).sum(axis=0)) == pytest.approx([-1])
    assert concordance(moments(truth, np.full((3, 1), 0.5)).sum(axis=0)) == pytest.approx([0])
    assert concordance(moments(truth[:1], truth[:1]).sum(axis=0)) == pytest.approx([0])


def test_missing_ratings_count_for_nothing() -> None:
    truth, guess = drawn(50, 0.2)
    truth[10:, 1] = np.nan
    metrics = measure_ratings(truth, guess, SCHEMA.classes, (4, 4))
    valence, arousal = metrics.each_ccc
    assert valence is not None
    assert arousal is not None
    assert valence.value == pytest.approx(by_pearson(truth[:, 0], guess[:, 0]))
    assert arousal.value == pytest.approx(by_pearson(truth[:10, 1], guess[:10, 1]))
    assert metrics.rated == (50, 10)
    assert valence.ends is not None
    assert arousal.ends is None  # ten clips are too few to say
    assert "too few" in measure_ratings(truth[:10], guess[:10], SCHEMA.classes, (4, 4)).summary
    assert metrics.mae[1] is not None
    assert metrics.mae[1].value == pytest.approx(4 * np.abs(truth - guess)[:10, 1].mean())
    truth[:, 1] = np.nan
    alone = measure_ratings(truth, guess, SCHEMA.classes, (4, 4))
    assert alone.each_ccc[1] is None
    assert alone.mae[1] is None
    assert alone.ccc.value == pytest.approx(valence.value)
    assert "arousal" not in alone.summary


def test_intervals_come_from_speakers_where_there_are_enough() -> None:
    truth, guess = drawn(120, 0.3)
    guess = np.clip(guess + np.repeat(np.linspace(-0.3, 0.3, 6), 20)[:, None], 0, 1)  # speakers differ
    by_clips = measure_ratings(truth, guess, SCHEMA.classes, (4, 4))
    by_speakers = measure_ratings(truth, guess, SCHEMA.classes, (4, 4), speakers=[f"s{n // 20}" for n in range(120)])
    assert (by_clips.basis, by_speakers.basis, by_speakers.speakers) == ("clips", "speakers", 6)
    widths = []
    for metrics in (by_clips, by_speakers):
        low, high = metrics.ccc.ends or (np.nan, np.nan)
        assert -1 <= low < metrics.ccc.value < high <= 1
        widths.append(high - low)
    assert widths[1] > widths[0]


def test_intervals_hold_the_figure_of_the_whole_population_about_as_often_as_they_say() -> None:
    truth, guess = drawn(20_000, 0.25)
    whole = measure_ratings(truth, guess, SCHEMA.classes, (4, 4)).ccc.value
    held = 0
    for draw in range(60):
        rows = np.random.default_rng(draw).choice(20_000, 100, replace=False)
        ccc = measure_ratings(truth[rows], guess[rows], SCHEMA.classes, (4, 4), seed=draw).ccc
        low, high = ccc.ends or (np.nan, np.nan)
        held += low <= whole <= high
    assert held >= 52  # of 57 expected


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="without clips"):
        measure_ratings(np.empty((0, 2)), np.empty((0, 2)), SCHEMA.classes, (4, 4))
    with pytest.raises(ValueError, match="2 dimensions"):
        measure_ratings(np.ones((3, 1)), np.ones((3, 1)), SCHEMA.classes, (4, 4))


def advised(noises: dict[int, float], clips: int = 400) -> str:
    """The advice after rounds of so many labels, whose predictions err so much."""
    truth, _ = drawn(clips, 0)
    labels = {f"t{n}": row for n, row in enumerate(truth)}
    milestones = []
    for size, noise in noises.items():
        guess = np.clip(truth + noise * np.random.default_rng(7).normal(size=truth.shape), 0, 1)
        answers = {f"t{n}": SCHEMA.answer(row.tolist()) for n, row in enumerate(guess)}
        milestones.append(Milestone(labels=size, per_class=(size, size), predictions={}, answers=answers))
    tested = SCHEMA.held_out(labels, {f"t{n}": f"s{n % 20}" for n in range(clips)})
    advice = advise(milestones, SCHEMA.classes, tested)
    assert advice.slope is None or advice.slope.trend in Trend
    return advice.sentence


def test_rounds_that_no_longer_change_and_no_longer_gain_are_enough() -> None:
    said = advised({200: 0.1, 300: 0.1, 400: 0.1})
    assert said.startswith("More labels will probably change little: the last 3 rounds agree (CCC 1.00")
    assert "CCC on the test set surely gains less than a hundredth per 100 labels" in said
    assert "every dimension has at least 20 labels" in said


def test_a_ccc_that_still_rises_keeps_labelling() -> None:
    said = advised({100: 0.5, 200: 0.35, 300: 0.2})
    assert said.startswith("Keep labelling")
    assert "CCC on the test set still improves (+" in said


def test_too_few_test_clips_say_so() -> None:
    said = advised({100: 0.1, 200: 0.1, 300: 0.1}, clips=20)
    assert said.startswith("Keep labelling: the last 3 rounds share fewer than 30 test clips")
    assert "the test set is too small to tell" in said
