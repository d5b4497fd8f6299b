import numpy as np
import pytest
from skactiveml.pool import CoreSet

from aftertone_model.acquisition import STRATEGIES, Inputs, Labelled, Ranked


def rank(points: np.ndarray, labelled: np.ndarray, k: int) -> Ranked:
    known = Labelled(labels=np.ones((len(labelled), 1)), predictions=np.ones((len(labelled), 1)), embeddings=labelled)
    inputs = Inputs(candidates=len(points), embeddings=points, labelled=known)
    return STRATEGIES["coreset"].rank(inputs, k, np.random.default_rng(0))


def test_agrees_with_scikit_activeml() -> None:
    points = np.random.default_rng(0).normal(3, 1, (200, 7)).astype(np.float32)
    answers = np.full(200, np.nan)
    answers[:11] = 0
    theirs, utilities = CoreSet(random_state=0).query(points, answers, batch_size=30, return_utilities=True)
    ours = rank(points[11:], points[:11], 30)
    assert (ours.picks + 11).tolist() == np.asarray(theirs).tolist()
    distances = np.asarray(utilities)[np.arange(30), theirs]
    assert ours.scores[ours.picks] == pytest.approx(distances, rel=1e-4)


def test_scores_fall_along_the_order_and_say_how_far_labels_are() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(80, 3))
    for labelled in (points[:0], rng.normal(size=(5, 3))):
        ranked = rank(points, labelled, 12)
        assert (np.diff(ranked.scores[ranked.order]) <= 1e-6).all()
        centres = np.concatenate([labelled, points[ranked.picks]])
        rest = ranked.order[12:]
        nearest = np.linalg.norm(points[rest][:, None] - centres, axis=2).min(axis=1)
        assert ranked.scores[rest] == pytest.approx(nearest, abs=1e-3)


def test_without_labels_it_begins_in_the_middle() -> None:
    points = np.random.default_rng(2).normal(size=(50, 4))
    middle = np.linalg.norm(points - points.mean(axis=0), axis=1).argmin()
    assert rank(points, points[:0], 3).picks[0] == middle
