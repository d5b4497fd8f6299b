import numpy as np
import pytest

from aftertone_model.acquisition import STRATEGIES, Inputs, Labelled, StrategyError, find_strategy, suitable
from aftertone_model.acquisition.registry import default_strategy


def pool(clips: int = 40, labelled: int = 9, dimensions: int = 2) -> Inputs:
    rng = np.random.default_rng(0)
    return Inputs(
        candidates=clips,
        ratings=rng.random((clips, dimensions)),
        embeddings=rng.normal(size=(clips, 5)),
        labelled=Labelled(
            labels=rng.random((labelled, dimensions)),
            predictions=rng.random((labelled, dimensions)),
            embeddings=rng.normal(size=(labelled, 5)),
        ),
    )


def written_out(inputs: Inputs, k: int) -> list[int]:
    """The picks by the papers' definition, one pair of clips at a time."""
    assert inputs.ratings is not None
    assert inputs.embeddings is not None
    known = inputs.known()
    taken = list(zip(known.embeddings, known.labels, strict=True))
    picks: list[int] = []
    for _ in range(k):
        best, pick = -1.0, -1
        for row, (point, rating) in enumerate(zip(inputs.embeddings, inputs.ratings, strict=True)):
            if row in picks:
                continue
            nearest = min(
                float(np.linalg.norm(point - other) * np.prod(np.abs(rating - given))) for other, given in taken
            )
            if nearest > best:
                best, pick = nearest, row
        picks.append(pick)
        taken.append((inputs.embeddings[pick], inputs.ratings[pick]))
    return picks


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_picks_are_those_of_the_definition(dimensions: int) -> None:
    inputs = pool(dimensions=dimensions)
    ranked = STRATEGIES["igs"].rank(inputs, 8, np.random.default_rng(0))
    assert ranked.picks.tolist() == written_out(inputs, 8)


def test_without_a_label_it_begins_in_the_middle() -> None:
    inputs = pool(labelled=0)
    assert inputs.embeddings is not None
    ranked = STRATEGIES["igs"].rank(inputs, 3, np.random.default_rng(0))
    middle = np.linalg.norm(inputs.embeddings - inputs.embeddings.mean(axis=0), axis=1).argmin()
    assert ranked.picks[0] == middle
    assert np.isfinite(ranked.scores).all()


def test_a_strategy_that_needs_classes_is_refused_for_ratings_and_the_sentence_names_those_that_work() -> None:
    assert suitable("ratings") == ("random", "alps", "kmeans", "coreset", "igs")
    with pytest.raises(StrategyError, match=r"'margin' can't rank by ratings.*random, alps, kmeans, coreset, igs"):
        find_strategy("margin", "ratings")
    with pytest.raises(StrategyError, match="'igs' can't rank by probabilities"):
        find_strategy("igs", "probabilities")
    assert default_strategy("typiclust-margin", "ratings") == "igs"
    assert default_strategy("coreset", "ratings") == "coreset"
    assert default_strategy("typiclust-margin", "probabilities") == "typiclust-margin"
