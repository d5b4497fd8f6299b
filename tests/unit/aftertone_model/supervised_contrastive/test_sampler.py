"""Quotas of a batch: the paper's, wherever an emotion occurs."""

from collections import Counter

import numpy as np
import pytest

from aftertone_model.errors import CorpusError
from aftertone_model.supervised_contrastive.sampler import PairSampler

EMOTIONS = ["angry"] * 20 + ["sad"] * 20 + ["angry"] * 20 + ["sad"] * 20 + ["fear"] * 12
CORPORA = ["a"] * 40 + ["b"] * 52


def test_a_batch_has_a_quarter_of_each_kind_from_each_corpus() -> None:
    sampler = PairSampler(EMOTIONS, CORPORA, 16, seed=0)
    corpora, emotions = np.array(CORPORA), np.array(EMOTIONS)
    seen = set()
    for _ in range(100):
        batch = sampler.draw()
        seen.add(batch.emotion)
        assert set(emotions[batch.positives]) == {batch.emotion}
        assert batch.emotion not in set(emotions[batch.negatives])
        expected = {"b": 8} if batch.emotion == "fear" else {"a": 4, "b": 4}
        assert Counter(corpora[batch.positives].tolist()) == expected
        assert Counter(corpora[batch.negatives].tolist()) == {"a": 4, "b": 4}
        assert len({*batch.positives.tolist(), *batch.negatives.tolist()}) == 16  # nobody twice
    assert seen == {"angry", "sad", "fear"}


def test_halves_of_the_positives_are_of_two_corpora() -> None:
    corpora = np.array(CORPORA)
    sampler = PairSampler(EMOTIONS[:80], CORPORA[:80], 16, seed=0)
    batch = sampler.draw()
    assert len(set(corpora[batch.positives[:4]])) == len(set(corpora[batch.positives[4:]])) == 1
    assert corpora[batch.positives[0]] != corpora[batch.positives[-1]]


def test_an_epoch_has_about_as_many_rows_as_the_corpora() -> None:
    assert len(list(PairSampler(EMOTIONS, CORPORA, 16, seed=0).epoch())) == 92 // 16


def test_a_small_corpus_is_drawn_from_twice() -> None:
    batch = PairSampler(["x", "y", "x", "y"], ["a", "a", "b", "b"], 8, seed=0).draw()
    assert len(batch.positives) == len(batch.negatives) == 4


def test_three_corpora_meet_in_pairs() -> None:
    corpora = [corpus for corpus in "abc" for _ in range(20)]
    sampler = PairSampler(["x", "y"] * 30, corpora, 8, seed=0)
    met = [frozenset(np.array(corpora)[sampler.draw().negatives]) for _ in range(60)]
    assert set(met) == {frozenset("ab"), frozenset("ac"), frozenset("bc")}


def test_what_is_missing_is_said() -> None:
    with pytest.raises(CorpusError, match="the source has 1 \\(a\\)"):
        PairSampler(["x", "y"], ["a", "a"], 8, seed=0)
    with pytest.raises(CorpusError, match="corpus b has clips of one emotion only"):
        PairSampler(["x", "y", "x"], ["a", "a", "b"], 8, seed=0)
