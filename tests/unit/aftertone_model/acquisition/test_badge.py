import numpy as np
import pytest
from scipy.stats import chisquare
from skactiveml.classifier import SklearnClassifier
from skactiveml.pool import Badge
from sklearn.linear_model import LogisticRegression

from aftertone_model.acquisition import STRATEGIES, Inputs
from aftertone_model.acquisition.badge import prediction_residuals, squared_distances, squared_norms

CLIPS, TIMES = 25, 3_000


def picks(probabilities: np.ndarray, embeddings: np.ndarray, k: int, seed: int) -> list[int]:
    inputs = Inputs(candidates=len(embeddings), probabilities=probabilities, embeddings=embeddings)
    return STRATEGIES["badge"].rank(inputs, k, np.random.default_rng(seed)).picks.tolist()


def explicit_distances(probabilities: np.ndarray, embeddings: np.ndarray) -> np.ndarray:
    """(N, N) between the gradients, which are built here as BADGE defines them."""
    residuals = probabilities - np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]
    gradients = (residuals[:, :, None] * embeddings[:, None, :]).reshape(len(embeddings), -1)
    return ((gradients[:, None] - gradients) ** 2).sum(axis=2)


@pytest.fixture
def clips() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(3), CLIPS), rng.normal(size=(CLIPS, 6))


def test_second_and_third_pick_follow_the_squared_distance(clips: tuple[np.ndarray, np.ndarray]) -> None:
    distances = explicit_distances(*clips)
    drawn = [picks(*clips, 3, seed) for seed in range(TIMES)]
    first = drawn[0][0]
    residuals, embeddings = prediction_residuals(clips[0]), clips[1]
    assert first == np.argmax(np.linalg.norm(residuals, axis=1) * np.linalg.norm(embeddings, axis=1))

    law = distances[first] / distances[first].sum()
    seconds = np.bincount([second for _, second, _ in drawn], minlength=CLIPS)
    assert seconds[first] == 0
    assert chisquare(seconds[law > 0], TIMES * law[law > 0]).pvalue > 1e-3

    nearest = np.minimum(distances[first], distances)  # (N second, N) after each possible second pick
    conditional = nearest / nearest.sum(axis=1, keepdims=True)
    thirds = np.bincount([third for _, _, third in drawn], minlength=CLIPS)
    expected = (seconds[:, None] * conditional).sum(axis=0)
    assert chisquare(thirds[expected > 0], expected[expected > 0]).pvalue > 1e-3


def test_distances_agree_with_scikit_activeml() -> None:
    """Its draw weighs by min(‖g‖², D²), the origin being a centre; so do ours with that minimum, pick after pick."""
    rng = np.random.default_rng(1)
    points, labels = rng.normal(size=(CLIPS + 9, 4)), np.full(CLIPS + 9, np.nan)
    labels[:9] = np.arange(9) % 3
    classifier = SklearnClassifier(LogisticRegression(), classes=[0, 1, 2]).fit(points, labels)
    theirs, utilities = Badge(random_state=0).query(
        points, labels, classifier, fit_clf=False, batch_size=10, return_utilities=True
    )
    embeddings = points[9:].astype(np.float32)
    residuals = prediction_residuals(classifier.predict_proba(points[9:]))
    squares = squared_norms(residuals) * squared_norms(embeddings)
    assert picks(classifier.predict_proba(points[9:]), embeddings, 1, 0) == [theirs[0] - 9]
    weights = squares
    for pick, utility in zip(theirs, utilities[1:], strict=False):
        weights = np.minimum(weights, squared_distances(residuals, embeddings, squares, pick - 9))
        np.testing.assert_allclose(weights / weights.sum(), np.nan_to_num(utility[9:]), atol=1e-6)


def test_duplicates_are_taken_last(clips: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, embeddings = (np.tile(array, (4, 1)).astype(np.float32) for array in clips)
    for seed in range(20):
        assert len({pick % CLIPS for pick in picks(probabilities, embeddings * 100, CLIPS, seed)}) == CLIPS


def test_identical_clips_are_drawn_uniformly() -> None:
    same = np.tile([[0.7, 0.3]], (5, 1)), np.ones((5, 8))
    seconds = np.bincount([picks(*same, 2, seed)[1] for seed in range(2_000)], minlength=5)
    assert seconds[0] == 0
    assert chisquare(seconds[1:]).pvalue > 1e-3
    assert sorted(picks(*same, 5, 0)) == [0, 1, 2, 3, 4]


def test_the_rest_follows_by_gradient_norm(clips: tuple[np.ndarray, np.ndarray]) -> None:
    inputs = Inputs(candidates=CLIPS, probabilities=clips[0], embeddings=clips[1])
    ranked = STRATEGIES["badge"].rank(inputs, 5, np.random.default_rng(0))
    assert (np.diff(ranked.scores[ranked.order[5:]]) <= 0).all()
