import numpy as np
import pytest

from aftertone_model.votes.agreement import agreements, krippendorff_alpha, rated_alpha
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


def test_alpha_of_ratings_is_that_of_the_textbook_for_interval_data() -> None:
    """The same example as interval data: 0.849. The mean over dimensions; one that nobody shares counts for nothing."""
    values = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    rated = [(c, str(a), v) for a, row in enumerate(values) for c, v in enumerate(row) if v != "."]
    one = [vote(c, who, f"valence={v}") for c, who, v in rated]
    assert rated_alpha(one) == pytest.approx(0.849, abs=0.001)
    both = [vote(c, who, f"valence={v}", f"arousal={c}", f"{who}={v}") for c, who, v in rated]
    assert rated_alpha(both) == pytest.approx((0.849 + 1) / 2, abs=0.001)
    assert rated_alpha([vote(1, "x", "valence=1"), vote(2, "y", "valence=2")]) is None
    assert rated_alpha([vote(1, "x", "valence=1"), vote(1, "y", "valence=1")]) is None


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
