"""The losses against hand-computed cases and the formulas written out."""

import itertools
import math

import numpy as np
import pytest
import torch

from aftertone_model.two_stage_adapters.losses import (
    UNKNOWN,
    attribute_loss,
    contrast_cosine,
    contrast_norm,
    transcript_loss,
    weighted,
)


def ctc_by_enumeration(log_probabilities: np.ndarray, symbols: list[int]) -> float:
    """−log of the summed probability of every path (T,) that reads as the symbols."""
    frames, vocabulary = log_probabilities.shape
    total = 0.0
    for path in itertools.product(range(vocabulary), repeat=frames):
        read = [symbol for symbol, _ in itertools.groupby(path) if symbol != 0]
        if read == symbols:
            total += math.exp(sum(log_probabilities[time, symbol] for time, symbol in enumerate(path)))
    return -math.log(total) if total else math.inf


@pytest.mark.parametrize("symbols", [[1], [2, 1], [1, 1], [1, 2, 1]])
def test_ctc_sums_every_path_that_reads_as_the_transcript(symbols: list[int]) -> None:
    logits = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = ctc_by_enumeration(logits[0].log_softmax(-1).numpy(), symbols) / len(symbols)
    found = transcript_loss(logits, torch.tensor([4]), [torch.tensor(symbols)])
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_ctc_is_the_mean_over_the_clips_with_a_transcript_and_reads_no_padding() -> None:
    logits = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))
    transcripts = [torch.tensor([1, 2]), None, torch.tensor([3])]
    lengths = torch.tensor([4, 5, 2])
    alone = [
        float(transcript_loss(logits[row : row + 1, : lengths[row]], lengths[row : row + 1], [transcripts[row]]))
        for row in (0, 2)
    ]
    assert float(transcript_loss(logits, lengths, transcripts)) == pytest.approx(np.mean(alone), rel=1e-5)
    assert float(transcript_loss(logits, lengths, [None] * 3)) == 0


def test_a_transcript_that_does_not_fit_costs_nothing_and_moves_nothing() -> None:
    logits = torch.randn(1, 3, 3, requires_grad=True)
    loss = transcript_loss(logits, torch.tensor([3]), [torch.tensor([1, 1, 1])])  # needs five frames
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_an_attribute_counts_where_it_is_known() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, -5.0]], requires_grad=True)
    loss = attribute_loss(logits, torch.tensor([0, 1, UNKNOWN]))
    assert float(loss.detach()) == pytest.approx(
        (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 2, rel=1e-6
    )
    loss.backward()
    assert logits.grad is not None
    assert not logits.grad[2].any()
    assert logits.grad[:2].all()
    assert float(attribute_loss(logits.detach(), torch.tensor([UNKNOWN] * 3))) == 0


@pytest.fixture
def features() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(4, 6)) for _ in range(3)]


def test_the_norm_adds_up_the_distances_of_all_pairs_of_tasks(features: list[np.ndarray]) -> None:
    e, g, s = features
    expected = np.mean([np.linalg.norm(a - b, axis=1) for a, b in ((e, g), (e, s), (g, s))], axis=1).sum()
    found = contrast_norm([torch.from_numpy(feature) for feature in features])
    assert float(found) == pytest.approx(expected)
    assert float(contrast_norm([torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]])])) == pytest.approx(5)


def test_the_cosine_adds_up_the_angles_of_all_pairs_of_tasks(features: list[np.ndarray]) -> None:
    e, g, s = features
    cosines = [
        (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        for a, b in ((e, g), (e, s), (g, s))
    ]
    found = contrast_cosine([torch.from_numpy(feature) for feature in features])
    assert float(found) == pytest.approx(-np.mean(cosines, axis=1).sum())
    assert float(contrast_cosine([torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 1.0]])])) == pytest.approx(
        -math.sqrt(0.5)
    )


@pytest.mark.parametrize("contrast", [contrast_norm, contrast_cosine])
def test_descending_either_brings_the_tasks_together(contrast) -> None:
    generator = torch.Generator().manual_seed(0)
    moved = [torch.randn(5, 4, generator=generator, requires_grad=True) for _ in range(3)]
    before = contrast(moved)
    before.backward()
    with torch.no_grad():
        for feature in moved:
            assert feature.grad is not None
            feature -= 0.1 * feature.grad
        assert contrast(moved) < before
        assert contrast(moved[:1]) == 0  # emotion alone has nothing to be compared with


def test_the_norm_has_a_gradient_where_features_are_equal() -> None:
    feature = torch.ones(2, 3, requires_grad=True)
    contrast_norm([feature, torch.ones(2, 3)]).backward()
    assert feature.grad is not None
    assert feature.grad.isfinite().all()


def test_emotion_has_the_weight_that_the_others_leave() -> None:
    losses = [torch.tensor(value) for value in (1.0, 10.0, 100.0)]
    assert float(weighted(losses[0], [(0.1, losses[1])])) == pytest.approx(0.9 + 1.0)
    assert float(weighted(losses[0], [(0.1, losses[1]), (0.1, losses[2])])) == pytest.approx(0.8 + 1.0 + 10.0)
    assert float(weighted(losses[0], [])) == 1
