import warnings
from typing import Any

import numpy as np
import pytest
from skactiveml.pool import ProbCover

from aftertone_model.acquisition import STRATEGIES, Inputs, Labelled, probcover
from aftertone_model.acquisition.clustering import kmeans
from aftertone_model.acquisition.probcover import pure_radius, unit_length


def pool(size: int = 250) -> np.ndarray:
    """Points of length 1 in six clouds that touch."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(6, 5))
    return unit_length(centres[rng.integers(0, 6, size)] + 0.3 * rng.normal(size=(size, 5)))


def inputs(points: np.ndarray, labelled: np.ndarray) -> Inputs:
    labels = np.tile(np.eye(6)[0], (len(labelled), 1))
    known = Labelled(labels=labels, predictions=labels, embeddings=labelled)
    return Inputs(candidates=len(points), embeddings=points, labelled=known)


def same_clusters(labels: np.ndarray) -> Any:
    """Their clustering, replaced by ours."""

    class Same:
        def __init__(self, n_clusters: int) -> None:
            assert n_clusters == 6

        def fit_predict(self, _points: np.ndarray) -> np.ndarray:
            return labels

    return Same


def test_the_radius_is_the_largest_that_scikit_activeml_finds_pure() -> None:
    points = pool()
    radius = pure_radius(points, 6, np.random.default_rng(0))
    theirs = ProbCover(
        n_classes=6,
        deltas=np.arange(0.001, 2, 0.001),
        cluster_algo=same_clusters(kmeans(points, 6, np.random.default_rng(0)).labels),
        random_state=0,
    )
    theirs.query(points.astype(np.float64), np.full(len(points), np.nan), batch_size=1)
    assert theirs.delta_max_ == pytest.approx(radius, abs=1.5e-3)


def test_picks_cover_as_much_as_those_of_scikit_activeml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ties are broken by chance there, so that the newly covered are compared and not the picks."""
    points, radius = pool(), 0.25
    monkeypatch.setattr(probcover, "pure_radius", lambda *_: radius)
    answers = np.full(250, np.nan)
    answers[:10] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a single radius is not tested for purity
        _, utilities = ProbCover(n_classes=6, deltas=[radius], random_state=0).query(
            points.astype(np.float64), answers, batch_size=12, return_utilities=True
        )
    ranked = STRATEGIES["probcover"].rank(inputs(points[10:], points[:10]), 12, np.random.default_rng(0))
    first = np.asarray(utilities)[0, 10:]
    assert ranked.scores * 240 == pytest.approx(first, abs=1e-6)
    near = np.linalg.norm(points[:, None] - points, axis=2) <= radius
    covered = near[:10].any(axis=0)
    for pick, row in zip(ranked.picks + 10, np.asarray(utilities), strict=True):
        gain = int((near[pick] & ~covered).sum())
        assert gain == (near[10:] & ~covered).sum(axis=1).max()
        assert gain == pytest.approx(np.nanmax(row), abs=1)  # after another choice among equals
        covered |= near[pick]


def test_once_all_is_covered_a_second_cover_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three far groups: the fourth to sixth pick visit them again instead of staying in one."""
    monkeypatch.setattr(probcover, "pure_radius", lambda *_: 0.5)
    rng = np.random.default_rng(0)
    points = np.repeat(np.eye(3), [30, 20, 10], axis=0) + 0.02 * rng.normal(size=(60, 3))
    picks = STRATEGIES["probcover"].rank(inputs(points, points[:0]), 6, rng).picks
    assert np.digitize(picks, [30, 50]).tolist() == [0, 1, 2, 0, 1, 2]


def test_a_large_pool_is_covered_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """The picks on a part of the clips cover nearly as much of all as those on all."""
    points = pool(1_500)
    shares = []
    for most in (1_500, 300):
        monkeypatch.setattr(probcover, "COVERED", most)
        monkeypatch.setattr(probcover, "pure_radius", lambda *_: 0.3)
        picks = STRATEGIES["probcover"].rank(inputs(points, points[:0]), 15, np.random.default_rng(0)).picks
        shares.append((np.linalg.norm(points[:, None] - points[picks], axis=2) <= 0.3).any(axis=1).mean())
    assert shares[1] > 0.9 * shares[0]
