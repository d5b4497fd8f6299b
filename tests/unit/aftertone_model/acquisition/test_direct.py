import numpy as np
import pytest

from aftertone_model.acquisition import STRATEGIES, Inputs, Labelled
from aftertone_model.acquisition.direct import best_cut, by_confidence, doubtful, in_turns
from tests.unit.aftertone_model.acquisition.mixture import Mixture


def test_the_cut_is_that_of_the_fewest_errors() -> None:
    """Counted one by one, as the paper defines it; clips without a label count for nothing."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        votes = rng.choice([-1.0, 0.0, 1.0], 25)
        errors = [(votes[:cut] < 0).sum() + (votes[cut:] > 0).sum() for cut in range(26)]
        assert errors[best_cut(votes)] == min(errors)


def test_of_equal_cuts_the_middle_is_taken() -> None:
    assert best_cut(np.array([1.0, 0, 0, 0, 0, -1.0])) == 3


def test_a_soft_label_moves_the_cut_by_its_part() -> None:
    assert best_cut(np.array([0.2, -0.6, 0.2, -1.0])) == 1
    assert best_cut(np.array([0.2, -0.6, 0.8, -1.0])) == 3


def test_doubt_ends_where_labels_agree() -> None:
    """Position by position from both ends, as in the authors' code."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        votes = rng.choice([-1.0, 0.0, 0.0, 1.0], 20)
        first, last = 0, 20
        for place in range(20):
            if votes[place] < 0:
                break
            if votes[place] > 0:
                first = place + 1
        for place in reversed(range(20)):
            if votes[place] > 0:
                break
            if votes[place] < 0:
                last = place
        assert doubtful(votes) == (first, last)


def test_the_surest_stand_first() -> None:
    probabilities = np.array([[0.2, 0.5, 0.3], [0.5, 0.3, 0.2], [0.4, 0.35, 0.25], [0.4, 0.59, 0.01]])
    assert by_confidence(probabilities, 0, exclusive=True).tolist() == [1, 2, 3, 0]
    assert by_confidence(probabilities, 0, exclusive=False).tolist() == [1, 2, 3, 0]
    assert by_confidence(probabilities, 1, exclusive=False).tolist() == [3, 0, 2, 1]


def test_half_of_the_picks_lie_around_the_cut() -> None:
    """One question in effect: candidates at 0.00 to 0.99, labelled clips say that the class begins at 0.7."""
    sure = np.arange(100) / 100
    known = np.array([0.05, 0.3, 0.6, 0.8, 0.95])
    labels = (known > 0.7).astype(float)
    inputs = Inputs(
        candidates=100,
        probabilities=sure[:, None],
        exclusive=False,
        labelled=Labelled(labels=labels[:, None], predictions=known[:, None], embeddings=np.ones((5, 1))),
    )
    picks = STRATEGIES["direct"].rank(inputs, 10, np.random.default_rng(0)).picks
    assert np.abs(sure[picks[::2]] - 0.7).max() <= 0.04  # of ten, five would lie within 0.025 had none been drawn
    assert ((sure[picks] >= 0.6) & (sure[picks] <= 0.8)).all()  # nothing where labels leave no doubt


def test_turns_skip_what_others_have_given() -> None:
    queues = [np.array([0, 1, 2]), np.array([0, 3]), np.array([0, 1])]
    assert in_turns(queues, 9).tolist() == [0, 3, 1, 2]
    assert in_turns(queues, 2).tolist() == [0, 3]


@pytest.mark.parametrize("name", ["direct", "anchoral"])
def test_finds_rare_clips_at_a_multiple_of_their_rate(name: str) -> None:
    """Two of five classes hold 2 % of 3,000 clips each; three rounds of 60 labels, four pools."""
    found = {name: 0, "random": 0}
    for seed in range(4):
        for strategy in found:
            pool = Mixture([1_500, 800, 580, 60, 60], seed=seed, labels=60)
            for turn in range(3):
                before = pool.unlabelled
                picks = STRATEGIES[strategy].rank(pool.inputs(), 60, np.random.default_rng(turn)).picks
                found[strategy] += int((pool.classes[before[picks]] >= 3).sum())
                pool.label(picks)
    assert found[name] >= 3 * found["random"]
