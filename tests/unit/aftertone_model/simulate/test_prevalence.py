"""Thinned pools have the prevalence that was asked for, and rare clips are counted as a person would."""

import numpy as np
import pytest

from aftertone_model.errors import SimulationError
from aftertone_model.simulate.prevalence import (
    check_pools,
    check_prevalence,
    labels_until_found,
    parse_prevalence,
    rare_classes,
    thinned,
)

CLASSES = ("angry", "happy", "neutral", "sad")
LABELS = np.repeat([0, 1, 2, 3], [300, 200, 500, 100])


def test_a_thinned_pool_has_the_prevalence_and_is_as_large_as_it_can_be() -> None:
    prevalence = parse_prevalence("neutral=80, angry=10")
    rows = thinned(LABELS, CLASSES, prevalence, np.random.default_rng(0))
    counts = np.bincount(LABELS[rows], minlength=4)
    assert counts.tolist() == [62, 41, 500, 20]  # happy and sad share 10 % as 200 to 100
    assert len(set(rows.tolist())) == len(rows)
    assert (np.diff(rows) > 0).all()


def test_it_is_the_same_under_a_seed_and_another_under_another() -> None:
    prevalence = parse_prevalence("neutral=80")
    first, again, other = (thinned(LABELS, CLASSES, prevalence, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert first.tolist() != other.tolist()


def test_without_a_prevalence_nothing_is_left_out() -> None:
    assert len(thinned(LABELS, CLASSES, (), np.random.default_rng(0))) == len(LABELS)


def test_a_class_at_zero_is_gone() -> None:
    rows = thinned(LABELS, CLASSES, parse_prevalence("sad=0"), np.random.default_rng(0))
    assert np.bincount(LABELS[rows], minlength=4).tolist() == [300, 200, 500, 0]


@pytest.mark.parametrize("text", ["neutral", "neutral=x", "neutral=120", "neutral=80,sad=30", "sad=-1", "sad=5,sad=5"])
def test_what_is_no_prevalence_is_refused(text: str) -> None:
    with pytest.raises(SimulationError):
        parse_prevalence(text)


def test_unknown_classes_and_shares_that_leave_a_rest_to_nobody_are_refused() -> None:
    with pytest.raises(SimulationError, match="no class bored"):
        check_prevalence(parse_prevalence("bored=10"), CLASSES)
    with pytest.raises(SimulationError, match="100 % in all"):
        check_prevalence(parse_prevalence("angry=10,happy=10,neutral=10,sad=10"), CLASSES)


@pytest.mark.parametrize(
    ("rows", "text", "message"),
    [
        (slice(0, 1_000), "sad=10", "sad 10% of the pool, but the training clips of fold 3 have 0 of it"),
        (slice(0, 1_002), "sad=50", "sad 50% .* of fold 3 have 2 of it: the pool would have 3 clips, fewer than 10"),
        (slice(0, 300), "angry=0", "100% of the pool to classes other than angry, of which .* of fold 3 have none"),
    ],
)
def test_a_pool_that_a_fold_cannot_fill_names_class_and_fold(rows: slice, text: str, message: str) -> None:
    pools = {3: np.arange(len(LABELS))[rows]}
    with pytest.raises(SimulationError, match=message):
        check_pools(LABELS, pools, CLASSES, parse_prevalence(text))
    check_pools(LABELS, pools, CLASSES, ())


def test_rare_is_below_half_of_an_even_share_or_what_is_named() -> None:
    assert rare_classes(LABELS, CLASSES) == [3]
    assert rare_classes(LABELS, CLASSES, ("happy", "sad")) == [1, 3]
    assert rare_classes(np.repeat([0, 1, 2, 3], 10), CLASSES) == []


def test_labels_until_twenty_of_each_rare_class_or_all_there_are() -> None:
    revealed = [2, 0] * 20 + [3] * 5
    assert labels_until_found(revealed, [0, 3], {0: 300, 3: 100}) is None
    assert labels_until_found(revealed, [0, 3], {0: 300, 3: 4}) == 44
    assert labels_until_found(revealed, [0], {0: 300}) == 40
