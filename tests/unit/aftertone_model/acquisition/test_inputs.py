from typing import Any

import numpy as np
import pytest

from aftertone_model.acquisition import Inputs, Requires


@pytest.mark.parametrize(
    ("field", "array", "message"),
    [
        (Requires.PROBABILITIES, np.full((2, 2), 0.5), "3 rows"),
        (Requires.PROBABILITIES, np.ones((3, 2)), "sum to 1"),
        (Requires.PROBABILITIES, np.tile([1.5, -0.5], (3, 1)), ">= 0"),
        (Requires.PROBABILITIES, np.full((3, 2), np.nan), "NaN"),
        (Requires.PROBABILITIES, np.empty((3, 0)), "none empty"),
        (Requires.MC, np.full((3, 2), 0.5), "3 axes"),
        (Requires.EMBEDDINGS, np.full((3, 4), np.inf), "infinity"),
    ],
)
def test_refuses_what_would_mislead(field: Requires, array: np.ndarray, message: str) -> None:
    given: dict[str, Any] = {field.value: array}
    with pytest.raises(ValueError, match=message):
        Inputs(candidates=3, **given)


def test_names_what_is_missing() -> None:
    with pytest.raises(ValueError, match="needs mc"):
        Inputs(candidates=3).require(Requires.MC)
