import numpy as np
import pytest

from aftertone_model.votes.agreement import agreements, krippendorff_alpha
from aftertone_model.votes.vote import Vote


def vote(clip: object, who: str, *chosen: str) -> Vote:
    return Vote(clip=str(clip), annotator=who, chosen=chosen)


def test_alpha_is_that_of_the_textbook() -> None:
    """Krippendorff 2011, Computing Krippendorff's alpha-reliability, example C: nominal, four observers, 0.743."""
    values = [
        "123321412...",
        "1233224125.3",
        ".3332342251.",
        "12332441251.",
    ]
    votes = [vote(c, str(a), v) for a, row in enumerate(values) for c, v in enumerate(row) if v != "."]
    assert krippendorff_alpha(votes) == pytest.approx(0.743, abs=0.001)


def test_alpha_of_those_who_agree_and_of_those_who_guess() -> None:
    rng = np.random.default_rng(0)
    same = [vote(c, who, "ab"[c % 2]) for c in range(20) for who in "xy"]
    guessed = [vote(c, who, "ab"[rng.integers(2)]) for c in range(2000) for who in "xy"]
    assert krippendorff_alpha(same) == pytest.approx(1)
    assert krippendorff_alpha(guessed) == pytest.approx(0, abs=0.05)
    assert krippendorff_alpha([vote(1, "x", "a"), vote(2, "y", "a")]) is None


def test_each_vote_is_compared_with_the_others_on_its_clip() -> None:
    votes = [vote(1, "x", "a"), vote(1, "y", "a"), vote(1, "z", "b"), vote(2, "x", "a"), vote(3, "x", "a", "b"),
             vote(3, "y", "b")]  # fmt: skip
    assert agreements(votes) == {0: 0.5, 1: 0.5, 2: 0.0, 4: 0.5, 5: 0.5}
