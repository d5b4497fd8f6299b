import numpy as np
import pytest

from model.acquisition import Evidence, Need


@pytest.mark.parametrize(
    ("field", "array", "message"),
    [
        (Need.PROBABILITIES, np.full((2, 2), 0.5), "3 rows"),
        (Need.PROBABILITIES, np.ones((3, 2)), "sum to 1"),
        (Need.PROBABILITIES, np.tile([1.5, -0.5], (3, 1)), ">= 0"),
        (Need.PROBABILITIES, np.full((3, 2), np.nan), "NaN"),
        (Need.PROBABILITIES, np.empty((3, 0)), "none empty"),
        (Need.MC, np.full((3, 2), 0.5), "3 axes"),
        (Need.EMBEDDINGS, np.full((3, 4), np.inf), "infinity"),
    ],
)
def test_refuses_what_would_mislead(field: Need, array: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Evidence(candidates=3, **{field.value: array})


def test_names_what_is_missing() -> None:
    with pytest.raises(ValueError, match="needs mc"):
        Evidence(candidates=3).require(Need.MC)
