import numpy as np
import pytest

from aftertone_model.acquisition import STRATEGIES, Inputs, Labelled
from aftertone_model.acquisition.typiclust import FEW_LABELS, typical_first
from aftertone_model.acquisition.uncertainty import margin


def inputs(labels: int) -> Inputs:
    """150 clips of three classes, and so many more with labels."""
    rng = np.random.default_rng(0)
    points, probabilities = rng.normal(size=(150 + labels, 4)), rng.dirichlet(np.ones(3), 150 + labels)
    known = Labelled(
        labels=np.eye(3)[np.arange(labels) % 3].reshape(labels, 3),
        predictions=probabilities[150:],
        embeddings=points[150:],
    )
    return Inputs(candidates=150, probabilities=probabilities[:150], embeddings=points[:150], labelled=known)


@pytest.mark.parametrize(("labels", "typical"), [(0, 12), (30, 12), (3 * FEW_LABELS - 5, 5), (3 * FEW_LABELS, 0)])
def test_changes_over_from_typiclust_to_margin_within_a_batch(labels: int, typical: int) -> None:
    given = inputs(labels)
    assert given.embeddings is not None
    assert given.probabilities is not None
    picks = STRATEGIES["typiclust-margin"].rank(given, 12, np.random.default_rng(0)).picks.tolist()
    first = []
    if typical:
        rng = np.random.default_rng(0)
        first = typical_first(given.embeddings, given.known().embeddings, typical, rng).picks.tolist()
    by_margin = np.argsort(-margin(given.probabilities), kind="stable").tolist()
    assert picks == (first + [row for row in by_margin if row not in first])[:12]
