"""Intervals of differences hold what they promise, also where a speaker is tested on in several runs."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from aftertone_model.simulate.differences import Confusions, clustered, confusions_by_speaker, macro_f1, ua
from aftertone_model.simulate.intervals import interval

CLASSES = ("a", "b", "c")
SPEAKERS, CLIPS, FOLDS = 30, 20, 5


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def runs_of(rng: np.random.Generator, splits: list[tuple[int, int]]) -> tuple[list[Confusions], list[Confusions]]:
    """Two conditions of which the first is better by 0.3 logit, more for some speakers and in some runs."""
    truth = rng.integers(3, size=(SPEAKERS, CLIPS))
    ease, gain = rng.normal(size=(SPEAKERS, 1)), 0.3 + 0.7 * rng.normal(size=(SPEAKERS, 1))
    pairs: tuple[list[Confusions], list[Confusions]] = ([], [])
    for _, fold in splits:
        tested = np.arange(SPEAKERS) % FOLDS == fold
        names = [f"s{n}" for n in np.flatnonzero(tested) for _ in range(CLIPS)]
        better = gain[tested] + 0.2 * rng.normal()
        for found, more in zip(pairs, (better, 0.0), strict=True):
            right = rng.random((tested.sum(), CLIPS)) < logistic(0.3 + ease[tested] + more)
            said = np.where(right, truth[tested], (truth[tested] + rng.integers(1, 3, size=right.shape)) % 3)
            found.append(confusions_by_speaker(truth[tested].ravel(), said.ravel(), names, CLASSES))
    return pairs


def true_gain() -> float:
    rng = np.random.default_rng(1)
    ease = 0.3 + rng.normal(size=200_000)
    gain = 0.3 + 0.7 * rng.normal(size=200_000) + 0.2 * rng.normal(size=200_000)
    return float((logistic(ease + gain) - logistic(ease)).mean())


def true_ua() -> float:
    return float(logistic(0.3 + np.random.default_rng(1).normal(size=200_000)).mean())


@pytest.mark.parametrize("every_fold", [False, True])
def test_the_interval_covers_the_true_difference_where_one_over_runs_does_not(every_fold: bool) -> None:
    """95 % of 200 simulated studies, within three standard errors of that; ten runs on five folds, or fifteen."""
    splits = (
        [(seed, fold) for seed in range(3) for fold in range(FOLDS)]
        if every_fold
        else [(s, s % FOLDS) for s in range(10)]
    )
    truth, studies = true_gain(), 200
    covered, naive = 0, 0
    for study in range(studies):
        ours, theirs = runs_of(np.random.default_rng(study), splits)
        found = clustered(ours, theirs, ua)
        covered += found.low <= truth <= found.high
        totals = [[ua(np.sum(list(run.values()), axis=0).astype(float)) for run in side] for side in (ours, theirs)]
        plain = interval(np.array(totals[0]) - np.array(totals[1]))
        naive += plain.low <= truth <= plain.high
    assert covered / studies >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / studies)
    assert naive / studies < 0.93
    assert covered > naive


def test_the_interval_of_a_condition_covers_its_true_ua_by_fold_where_one_over_runs_does_not() -> None:
    """The same 200 studies; each run's UA by itself, four runs on each fold."""
    splits = [(seed, fold) for seed in range(4) for fold in range(FOLDS)]
    folds = [fold for _, fold in splits]
    truth, studies = true_ua(), 200
    covered, naive = 0, 0
    for study in range(studies):
        _, plain = runs_of(np.random.default_rng(study), splits)
        values = np.array([ua(np.sum(list(run.values()), axis=0).astype(float)) for run in plain])
        by_fold, over_runs = interval(values, folds), interval(values)
        assert by_fold.mean == pytest.approx(over_runs.mean)
        covered += by_fold.low <= truth <= by_fold.high
        naive += over_runs.low <= truth <= over_runs.high
    assert covered / studies >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / studies)
    assert naive / studies < 0.85


def test_counts_give_the_figures_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, said = rng.integers(3, size=60), rng.integers(3, size=60)
    confusions = confusions_by_speaker(truth, said, [f"s{n % 4}" for n in range(60)], CLASSES)
    assert len(confusions) == 4
    whole = np.sum(list(confusions.values()), axis=0).astype(float)
    assert ua(whole) == pytest.approx(balanced_accuracy_score(truth, said))
    assert macro_f1(whole) == pytest.approx(f1_score(truth, said, average="macro"))


def test_a_single_run_has_an_interval_from_its_speakers_and_one_speaker_has_none() -> None:
    ours, theirs = runs_of(np.random.default_rng(0), [(0, 0)])
    found = clustered(ours, theirs, macro_f1)
    assert found.low < found.mean < found.high
    lone = clustered([{"s0": ours[0]["s0"]}], [{"s0": theirs[0]["s0"]}], ua)
    assert np.isnan(lone.low)


def test_equal_conditions_differ_by_nothing() -> None:
    ours, _ = runs_of(np.random.default_rng(0), [(0, 0), (1, 1)])
    found = clustered(ours, ours, ua)
    assert (found.mean, found.low, found.high) == (0, 0, 0)
