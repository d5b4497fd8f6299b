import numpy as np
import pytest

from aftertone_model.acquisition import Ranked
from aftertone_model.acquisition.strategy import descending

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "scores",
    [
        np.empty(0),
        np.zeros(7),
        RNG.normal(size=5_000),
        RNG.normal(size=5_000).round(1),  # many ties
        1 + 1e-12 * RNG.random(5_000),  # all the same in float32
        RNG.choice([0.0, -0.0, 5e-324, -1e-300, 1e300, -1e300, np.inf, -np.inf], 500),
    ],
)
def test_descending_is_a_stable_sort(scores: np.ndarray) -> None:
    assert descending(scores).tolist() == np.argsort(-scores, kind="stable").tolist()


def test_what_is_not_picked_follows_by_score() -> None:
    ranked = Ranked.picks_first(np.array([3, 0]), np.array([0.1, 0.5, 0.9, 0.2, 0.5]), 2)
    assert ranked.order.tolist() == [3, 0, 2, 1, 4]
