import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skactiveml.pool import uncertainty_scores

from aftertone_model.acquisition.uncertainty import entropy, least_confidence, margin

SCORES = {"entropy": entropy, "least_confident": least_confidence, "margin_sampling": margin}

weights = arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(2, 6)), elements=st.floats(0, 1))
distributions = weights.map(lambda w: (w + 1e-9) / (w + 1e-9).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("method", SCORES)
def test_agrees_with_scikit_activeml(method: str) -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.full(5, 0.4), 2_000)
    np.testing.assert_allclose(
        SCORES[method](probabilities), uncertainty_scores(probabilities, method=method), atol=1e-12
    )


def test_hand_computed() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(entropy(probabilities), [1.5 * np.log(2), 0.0])
    np.testing.assert_allclose(least_confidence(probabilities), [0.5, 0.0])
    np.testing.assert_allclose(margin(probabilities), [0.75, 0.0])


@pytest.mark.parametrize("method", SCORES)
@settings(deadline=None)
@given(probabilities=distributions, share=st.floats(0, 1))
def test_never_falls_towards_uniform(method: str, probabilities: np.ndarray, share: float) -> None:
    mixed = (1 - share) * probabilities + share / probabilities.shape[1]
    assert (SCORES[method](mixed) >= SCORES[method](probabilities) - 1e-12).all()


@pytest.mark.parametrize("method", SCORES)
@settings(deadline=None)
@given(probabilities=distributions)
def test_no_class_is_special(method: str, probabilities: np.ndarray) -> None:
    np.testing.assert_allclose(SCORES[method](probabilities[:, ::-1]), SCORES[method](probabilities), atol=1e-12)


@settings(deadline=None)
@given(probabilities=distributions)
def test_stays_in_its_range(probabilities: np.ndarray) -> None:
    classes = probabilities.shape[1]
    for scores, most in (
        (entropy(probabilities), np.log(classes)),
        (least_confidence(probabilities), 1 - 1 / classes),
        (margin(probabilities), 1.0),
    ):
        assert (scores >= -1e-12).all()
        assert (scores <= most + 1e-12).all()


@pytest.mark.parametrize("method", SCORES)
def test_one_class_is_certain(method: str) -> None:
    np.testing.assert_array_equal(SCORES[method](np.ones((3, 1))), np.zeros(3))


def test_half_precision_is_summed_in_double() -> None:
    probabilities = np.full((1, 1_000), 1e-3, dtype=np.float16)
    assert entropy(probabilities)[0] == pytest.approx(np.log(1_000), rel=1e-3)
