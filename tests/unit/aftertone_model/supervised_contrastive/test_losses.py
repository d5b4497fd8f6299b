"""The losses against the formulas written out pair by pair."""

import math

import numpy as np
import pytest
import torch

from aftertone_model.supervised_contrastive.losses import cosine_margin, info_nce


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@pytest.fixture
def features() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, 5)), rng.normal(size=(4, 5))


def test_info_nce_tells_each_positive_from_every_negative(features: tuple[np.ndarray, np.ndarray]) -> None:
    positives, negatives = features
    losses = []
    for i, j in ((i, j) for i in range(6) for j in range(6) if i != j):
        alike = math.exp(cosine(positives[i], positives[j]) / 0.07)
        different = sum(math.exp(cosine(positives[i], negative) / 0.07) for negative in negatives)
        losses.append(-math.log(alike / (alike + different)))
    found = info_nce(torch.from_numpy(positives), torch.from_numpy(negatives), 0.07)
    assert float(found) == pytest.approx(np.mean(losses))


def test_cosine_margin_pulls_pairs_and_pushes_negatives_to_the_margin(
    features: tuple[np.ndarray, np.ndarray],
) -> None:
    positives, negatives = features
    pulled = np.mean([1 - cosine(positives[i], positives[i + 3]) for i in range(3)])
    pushed = np.mean([max(0, cosine(x, negative) - 0.4) for x in positives[:3] for negative in negatives])
    found = cosine_margin(torch.from_numpy(positives), torch.from_numpy(negatives), 0.5, 0.4)
    assert float(found) == pytest.approx(0.5 * pulled + pushed)


def test_a_case_by_hand() -> None:
    """Positives that point the same way, negatives at right angles to them: nothing is left to learn."""
    positives, negatives = torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert float(cosine_margin(positives, negatives, 0.5, 0.4)) == pytest.approx(0)
    assert float(info_nce(positives, negatives, 1.0)) == pytest.approx(math.log(1 + math.exp(-1)))
    assert float(cosine_margin(positives, positives, 0.5, 0.4)) == pytest.approx(0.6)
