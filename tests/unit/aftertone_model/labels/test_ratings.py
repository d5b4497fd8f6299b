"""Ratings: from annotators' numbers to targets, and a loss that equals its written-out formula."""

import numpy as np
import pytest
import torch

from aftertone_model.errors import LabelError
from aftertone_model.evaluation.rating_metrics import RatingMetrics
from aftertone_model.labels import Ratings, Scale, SingleChoice, schema_of
from aftertone_model.labels.ratings import FEWEST

SCHEMA = Ratings(classes=("valence", "arousal"), scales=(Scale(low=1, high=5), Scale(low=-10, high=10)))
ONE = torch.ones(2)


def lin(truth: np.ndarray, guess: np.ndarray) -> float:
    """CCC as Lin 1989 defines it, by numpy's own mean, variance and covariance."""
    covariance = np.cov(truth, guess, bias=True)[0, 1]
    return 2 * covariance / (truth.var() + guess.var() + (truth.mean() - guess.mean()) ** 2)


def test_the_target_is_the_mean_of_each_dimension_on_a_scale_of_0_to_1() -> None:
    votes = {"valence=1": 1.0, "valence=4": 2.0, "arousal=5": 1.0}
    assert SCHEMA.target(votes, 3) == pytest.approx([(0 + 0.75 + 0.75) / 3, 0.75])


def test_a_dimension_that_nobody_rated_is_missing_and_nothing_at_all_is_no_label() -> None:
    target = SCHEMA.target({"valence=3": 1.0}, 1)
    assert target is not None
    assert target[0] == 0.5
    assert np.isnan(target[1])
    assert SCHEMA.check(target)
    assert SCHEMA.target({"valence=6": 1.0, "dominance=3": 1.0, "happy": 1.0, "valence=": 1.0}, 4) is None
    with pytest.raises(LabelError, match="2 numbers in"):
        SCHEMA.stack({"a": np.array([np.nan, np.nan])}, ["a"])


def test_answers_read_back_in_the_units_of_their_scales() -> None:
    words = SCHEMA.answer((0.61875, 0.75))
    assert words == ("valence=3.48", "arousal=5")
    assert SCHEMA.target(SCHEMA.vote(words), 1) == pytest.approx([0.62, 0.75])
    narrow = Ratings(classes=("v",), scales=(Scale(low=0, high=0.996),))
    assert all(map(narrow.knows, narrow.answer((1.0,))))


def test_the_loss_is_one_minus_ccc_and_the_squared_error_of_what_is_rated() -> None:
    rng = np.random.default_rng(0)
    targets, logits = rng.random((12, 2)), rng.normal(size=(12, 2))
    targets[:5, 1] = np.nan
    expected = []
    for column in range(2):
        rated = ~np.isnan(targets[:, column])
        truth, guess = targets[rated, column], logits[rated, column]
        expected.append(1 - lin(truth, guess) + np.square(truth - guess).mean())
    loss = SCHEMA.loss(torch.from_numpy(logits), torch.from_numpy(targets), ONE)
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_the_loss_by_hand() -> None:
    truth, guess = torch.tensor([[0.0], [0.5], [1.0]]), torch.tensor([[0.5], [0.5], [1.0]])
    # means 1/2 and 2/3, variances 1/6 and 1/18, covariance 1/12: CCC = (1/6) / (1/6 + 1/18 + 1/36) = 2/3
    schema = Ratings(classes=("v",), scales=(Scale(low=0, high=1),))
    assert float(schema.loss(guess, truth, torch.ones(1))) == pytest.approx(1 / 3 + 0.25 / 3)


def test_gradients_are_those_of_the_loss_and_none_flows_to_what_is_not_rated() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.rand(6, 2, generator=generator)
    targets[2, 0] = torch.nan
    logits = torch.randn(6, 2, generator=generator, requires_grad=True)
    SCHEMA.loss(logits, targets, ONE).backward()
    assert logits.grad is not None
    assert logits.grad[2, 0] == 0
    step = 1e-2
    for row, column in ((0, 0), (4, 1)):
        nudge = torch.zeros(6, 2)
        nudge[row, column] = step
        with torch.no_grad():
            ahead, behind = (float(SCHEMA.loss(logits + sign * nudge, targets, ONE)) for sign in (1, -1))
        assert float(logits.grad[row, column]) == pytest.approx((ahead - behind) / (2 * step), abs=1e-3)


@pytest.mark.parametrize("targets", [torch.rand(FEWEST - 1, 2), torch.full((8, 2), 0.5)])
def test_few_ratings_or_equal_ones_are_learned_by_squared_error(targets: torch.Tensor) -> None:
    logits = torch.zeros_like(targets, requires_grad=True)
    loss = SCHEMA.loss(logits, targets, ONE)
    assert loss.item() == pytest.approx(float(targets.square().mean()))
    loss.backward()
    assert logits.grad is not None
    assert bool((logits.grad <= 0).all())
    assert torch.isfinite(logits.grad).all()


def test_a_batch_without_a_rating_in_a_dimension_learns_the_other() -> None:
    targets = torch.tensor([[0.2, torch.nan], [0.4, torch.nan], [0.9, torch.nan]])
    logits = torch.zeros(3, 2, requires_grad=True)
    loss = SCHEMA.loss(logits, targets, ONE)
    assert loss.item() == pytest.approx(1 + float(targets[:, 0].square().mean()))
    nothing = SCHEMA.loss(logits, torch.full((3, 2), torch.nan), ONE)
    assert nothing.item() == 0


def test_predictions_stay_within_the_scale_and_have_no_temperature() -> None:
    logits = np.array([[-0.2, 0.5], [0.3, 1.7]])
    assert SCHEMA.predictions(logits).tolist() == [[0, 0.5], [0.3, 1]]
    temperature, predictions = SCHEMA.calibrate(np.tile(logits, (50, 1)), np.full((100, 2), 0.5), 0)
    assert temperature == 1
    assert predictions[:2].tolist() == [[0, 0.5], [0.3, 1]]
    assert SCHEMA.confidence((0.3, 0.9)) == 0


def test_answers_that_are_all_the_same_have_collapsed() -> None:
    labels = np.array([[0.2, np.nan], [0.8, 0.5]])
    assert SCHEMA.varies(labels)
    assert not SCHEMA.varies(labels[:1])
    assert SCHEMA.collapsed(labels, np.full((2, 2), 0.4))
    assert not SCHEMA.collapsed(labels, np.array([[0.4, 0.4], [0.5, 0.4]]))
    assert SCHEMA.counts(labels).tolist() == [2, 1]
    assert SCHEMA.accuracy(labels[[0, 1, 1]], np.array([[0.2, 0], [0.8, 0], [0.8, 0]])) == pytest.approx(0.5)


def test_a_schema_is_found_by_its_kind() -> None:
    assert schema_of("ratings", SCHEMA.classes, SCHEMA.scales) == SCHEMA
    assert schema_of("single-choice", ("a", "b")) == SingleChoice(classes=("a", "b"))
    with pytest.raises(ValueError, match="2 dimensions need as many scales"):
        schema_of("ratings", ("a", "b"))


def test_errors_are_measured_in_the_units_of_the_scales() -> None:
    metrics = SCHEMA.measure(np.array([[0.0, 0.5], [1.0, np.nan]]), np.array([[0.25, 0.4], [1.0, 0.0]]))
    assert isinstance(metrics, RatingMetrics)
    assert [error.value for error in metrics.mae if error] == pytest.approx([0.5, 2])
