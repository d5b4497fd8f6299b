import numpy as np
import pytest
import torch
from batchbald_redux.batchbald import compute_conditional_entropy, compute_entropy
from scipy.stats import chisquare

from aftertone_model.acquisition.bald import conditional_entropy, mutual_information, power_scores


@pytest.fixture
def mc() -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.full(4, 0.5), (500, 10)).astype(np.float32)


def test_agrees_with_batchbald_redux(mc: np.ndarray) -> None:
    logs = torch.from_numpy(mc).double().log()
    np.testing.assert_allclose(conditional_entropy(mc), compute_conditional_entropy(logs).numpy(), atol=1e-6)
    expected = (compute_entropy(logs) - compute_conditional_entropy(logs)).numpy()
    np.testing.assert_allclose(mutual_information(mc), expected, atol=1e-6)


def test_hand_computed() -> None:
    disagreeing = [[1.0, 0.0], [0.0, 1.0]]  # each sample certain, of something else: one bit
    agreeing = [[0.5, 0.5], [0.5, 0.5]]  # uncertain, but all samples say so: nothing to learn
    np.testing.assert_allclose(mutual_information(np.array([disagreeing, agreeing])), [np.log(2), 0.0], atol=1e-12)


def test_stays_below_both_bounds(mc: np.ndarray) -> None:
    bald = mutual_information(mc)
    assert (bald >= 0).all()
    assert (bald <= min(np.log(4), np.log(10))).all()


def test_power_scores_draw_in_proportion() -> None:
    bald = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    rng = np.random.default_rng(0)
    first = np.bincount([np.argmax(power_scores(bald, rng)) for _ in range(5_000)], minlength=5)
    assert first[0] == 0
    assert chisquare(first[1:], 5_000 * bald[1:]).pvalue > 1e-3


def test_power_scores_are_finite_where_bald_is_zero() -> None:
    assert np.isfinite(power_scores(np.zeros(10), np.random.default_rng(0))).all()
