import numpy as np

from aftertone_model.votes.relabel import FEWEST, relabel_list
from aftertone_model.votes.vote import Vote

CLASSES = ("a", "b", "c")


def vote(clip: str, who: str, chosen: str, final: bool = False) -> Vote:
    return Vote(clip=clip, annotator=who, chosen=(chosen,), final=final)


def sure(of: str, how: float = 0.9) -> np.ndarray:
    found = np.full(3, (1 - how) / 2)
    found[CLASSES.index(of)] = how
    return found


def test_conflicts_and_splits_are_listed_and_what_all_agree_on_is_not() -> None:
    votes = [vote(f"fine{n}", who, "abc"[n % 3]) for n in range(30) for who in ("x", "y")]
    probabilities = {f"fine{n}": sure("abc"[n % 3]) for n in range(30)}
    votes += [vote("split", "x", "a"), vote("split", "y", "b"), vote("conflict", "x", "a")]
    votes += [vote("starred", "x", "a", final=True), vote("unknown", "x", "a"), vote("left", "x", "gone")]
    probabilities |= {"split": sure("a"), "conflict": sure("b", 0.98), "starred": sure("b"), "left": sure("a")}
    found = {doubt.clip: doubt.reason for doubt in relabel_list(votes, probabilities, CLASSES, 50)}
    assert found == {"split": "split votes", "conflict": "conflict with the model"}


def test_the_surer_the_model_contradicts_the_sooner() -> None:
    votes = [vote(str(n), "x", "a") for n in range(6)]
    probabilities = {str(n): sure("b", 0.8 + n / 36) for n in range(6)}
    listed = relabel_list(votes, probabilities, CLASSES, 4)
    assert [doubt.clip for doubt in listed] == ["5", "4", "3", "2"]
    assert [doubt.score for doubt in listed] == sorted(doubt.score for doubt in listed)
    assert relabel_list([], {}, CLASSES, 4) == []


def test_a_model_that_is_unsure_doubts_no_label_and_nobody_doubts_a_rare_class() -> None:
    votes = [vote(str(n), "x", "a") for n in range(20)]
    unsure = {str(n): sure("b", 0.45) for n in range(20)}
    assert relabel_list(votes, unsure, CLASSES, 50) == []
    rare = [vote(f"rare{n}", "x", "c") for n in range(FEWEST - 1)]
    assert relabel_list(votes + rare, unsure | {f"rare{n}": sure("b", 0.999) for n in range(4)}, CLASSES, 50) == []


def test_two_people_who_agree_are_doubted_by_a_surer_model_alone() -> None:
    one, two = [vote(str(n), "x", "a") for n in range(8)], [vote(str(n), "y", "a") for n in range(8)]
    for how, by_one, by_both in ((0.9, 8, 0), (0.99, 8, 8)):
        probabilities = {str(n): sure("b", how) for n in range(8)}
        assert len(relabel_list(one, probabilities, CLASSES, 50)) == by_one
        assert len(relabel_list(one + two, probabilities, CLASSES, 50)) == by_both


def test_few_labels_that_are_right_are_hardly_ever_doubted() -> None:
    """As after a first round: twenty labels, four classes, and a model that is right in two of five, and says so."""
    listed = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 4, 20)
        predicted = rng.dirichlet(np.full(4, 4.0), 20)
        guess = np.where(rng.random(20) < 0.4, truth, rng.integers(0, 4, 20))
        predicted[np.arange(20), guess] = predicted.max(axis=1)
        probabilities = {str(n): row / row.sum() for n, row in enumerate(predicted)}
        votes = [vote(str(n), "x", "abcd"[true]) for n, true in enumerate(truth)]
        listed += len(relabel_list(votes, probabilities, ("a", "b", "c", "d"), 50))
    assert listed / 50 < 2


def test_half_of_a_list_or_more_is_wrong_where_a_third_of_the_labels_is() -> None:
    """What the list is for, with a model that is right in three of five."""
    shares = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 3, 400)
        votes, probabilities, wrong = [], {}, set()
        for n, true in enumerate(truth):
            said = true if rng.random() < 0.7 else (true + rng.integers(1, 3)) % 3
            guess = true if rng.random() < 0.6 else rng.integers(3)
            probabilities[str(n)] = sure(CLASSES[guess], rng.uniform(0.5, 0.95 if guess == true else 0.8))
            votes.append(vote(str(n), "xyz"[rng.integers(3)], CLASSES[said]))
            if said != true:
                wrong.add(str(n))
        listed = relabel_list(votes, probabilities, CLASSES, 50)
        shares.append(np.mean([doubt.clip in wrong for doubt in listed]))
    assert np.mean(shares) > 0.6
