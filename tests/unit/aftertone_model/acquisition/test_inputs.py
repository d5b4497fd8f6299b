from typing import Any

import numpy as np
import pytest

from aftertone_model.acquisition import Inputs, Labelled, Requires


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


def test_labelled_clips_must_fit_each_other_and_the_candidates() -> None:
    two = np.full((2, 2), 0.5)
    with pytest.raises(ValueError, match="row for each labelled clip"):
        Labelled(labels=two, predictions=two, embeddings=np.ones((3, 4)))
    with pytest.raises(ValueError, match="finite"):
        Labelled(labels=two, predictions=two, embeddings=np.full((2, 4), np.nan))
    known = Labelled(labels=two, predictions=two, embeddings=np.ones((2, 4)))
    assert Inputs(candidates=1, embeddings=np.ones((1, 4)), labelled=known).known() is known
    with pytest.raises(ValueError, match="same classifier"):
        Inputs(candidates=1, embeddings=np.ones((1, 5)), labelled=known)
    with pytest.raises(ValueError, match="needs labelled"):
        Inputs(candidates=1).known()


def test_names_what_is_missing() -> None:
    with pytest.raises(ValueError, match="needs mc"):
        Inputs(candidates=3).require(Requires.MC)
