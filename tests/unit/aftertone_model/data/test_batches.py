"""Batches: every clip once, no batch beyond its budget, and the same order from the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertone_model.data.batches import length_batches, pad


@given(st.lists(st.floats(0.1, 60.0), max_size=60), st.floats(1.0, 100.0), st.none() | st.integers(0, 5))
def test_each_clip_once_and_within_the_budget(seconds: list[float], budget: float, seed: int | None) -> None:
    batches = length_batches(seconds, budget, None if seed is None else np.random.default_rng(seed))
    assert sorted(i for batch in batches for i in batch) == list(range(len(seconds)))
    for batch in batches:
        assert len(batch) == 1 or max(seconds[i] for i in batch) * len(batch) <= budget


def test_padding_stays_small_and_shuffling_changes_batch_mates() -> None:
    seconds = np.random.default_rng(0).uniform(1.0, 10.0, 2_000)
    first, second = (length_batches(seconds, 100.0, np.random.default_rng(seed)) for seed in (1, 2))
    padded = sum(seconds[batch].max() * len(batch) for batch in first)
    assert padded / seconds.sum() < 1.15
    assert {frozenset(batch.tolist()) for batch in first} != {frozenset(batch.tolist()) for batch in second}


def test_same_seed_same_batches() -> None:
    seconds = np.random.default_rng(0).uniform(1.0, 10.0, 100)
    first, second = (length_batches(seconds, 30.0, np.random.default_rng(7)) for _ in range(2))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]


def test_without_a_generator_the_longest_come_first() -> None:
    assert [batch.tolist() for batch in length_batches([1.0, 3.0, 2.0], 4.0)] == [[1], [2, 0]]


def test_pad_fills_with_zeros() -> None:
    padded, lengths = pad([np.ones((3, 2), np.float16), np.ones((1, 2), np.float16)])
    assert lengths.tolist() == [3, 1]
    assert padded.sum(dim=(1, 2)).tolist() == pytest.approx([6.0, 2.0])
