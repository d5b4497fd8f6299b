import logging
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from batchbald_redux import joint_entropy
from batchbald_redux.batchbald import get_batchbald_batch

from aftertone_model.acquisition import STRATEGIES, Inputs
from aftertone_model.acquisition.bald import mutual_information
from aftertone_model.acquisition.batchbald import greedy_batch

SAMPLES, CLASSES = 20, 4


def dropout_samples(clips: int, seed: int) -> np.ndarray:
    """(N, K, C) of a random linear head under K dropout masks, as a classifier gives."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(clips, 64))
    masks = (rng.random((SAMPLES, 64)) > 0.3) / 0.7
    logits = np.einsum("nd,kd,dc->nkc", embeddings, masks, rng.normal(size=(64, CLASSES)) / 3)
    chances = np.exp(logits - logits.max(axis=2, keepdims=True))
    return (chances / chances.sum(axis=2, keepdims=True)).astype(np.float32)


@pytest.fixture(autouse=True)
def _quick_reference(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The reference multiplies thousands of tiny matrices, and collects garbage before each block of them."""
    monkeypatch.setattr("toma.gc_cuda", lambda: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("clips", "seed"), [(2_000, 0), (300, 1), (300, 2)])
def test_picks_what_batchbald_redux_picks_exactly(clips: int, seed: int) -> None:
    mc = dropout_samples(clips, seed)
    theirs = get_batchbald_batch(torch.from_numpy(mc).double().log(), 5, 256, dtype=torch.double)
    ours = greedy_batch(mc, mutual_information(mc), 5, np.random.default_rng(0), outcomes=256)
    assert ours.tolist() == theirs.indices


@pytest.mark.parametrize("seed", range(3))
def test_picks_what_batchbald_redux_picks_by_the_same_samples(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    mc = dropout_samples(300, seed)
    outcomes, picks = 400, 7

    def same_draws(chances: torch.Tensor, draws: int) -> torch.Tensor:  # (m, K, C) -> (m, K, draws)
        uniforms = np.random.default_rng(0).random((len(chances), SAMPLES, draws))
        edges = chances.double().numpy().cumsum(axis=2)[:, :, None, :-1]
        return torch.from_numpy((uniforms[..., None] >= edges).sum(axis=3))

    monkeypatch.setattr(joint_entropy, "batch_multi_choices", same_draws)
    theirs = get_batchbald_batch(torch.from_numpy(mc).double().log(), picks, outcomes, dtype=torch.double)
    ours = greedy_batch(mc, mutual_information(mc), picks, np.random.default_rng(0), outcomes=outcomes)
    assert ours.tolist() == theirs.indices


def test_never_asks_the_same_thing_twice() -> None:
    mc = dropout_samples(50, 0)
    twins = np.concatenate([mc, mc])  # BALD alone would take the best clip and its twin
    picks = greedy_batch(twins, mutual_information(twins), 4, np.random.default_rng(0))
    assert len({pick % 50 for pick in picks.tolist()}) == 4


def test_stops_when_the_samples_are_used_up(caplog: pytest.LogCaptureFixture) -> None:
    mc = dropout_samples(300, 0)
    informed = greedy_batch(mc, mutual_information(mc), 100, np.random.default_rng(0))
    assert 3 <= len(informed) < 100
    with caplog.at_level(logging.INFO):
        ranked = STRATEGIES["batchbald"].rank(Inputs(candidates=300, mc=mc), 100, np.random.default_rng(0))
    assert ranked.picks[: len(informed)].tolist() == informed.tolist()
    assert len(set(ranked.picks.tolist())) == 100
    assert f"after {len(informed)} of 100 picks" in caplog.text


def test_samples_that_agree_have_nothing_to_tell() -> None:
    mc = np.repeat(np.random.default_rng(0).dirichlet(np.ones(CLASSES), 40)[:, None], SAMPLES, axis=1)
    assert len(greedy_batch(mc, mutual_information(mc), 5, np.random.default_rng(0))) == 0
