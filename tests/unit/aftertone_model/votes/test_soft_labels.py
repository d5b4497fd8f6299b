"""Soft labels: by hand where they can be, and better than a majority where annotators differ."""

import numpy as np
import pytest

from aftertone_model.labels import MultipleChoice, SingleChoice
from aftertone_model.votes.reliability import estimate_reliability
from aftertone_model.votes.soft_labels import Method, soft_labels
from aftertone_model.votes.vote import Vote

CLASSES = ("angry", "happy", "neutral", "sad")
SCHEMA = SingleChoice(classes=CLASSES)
METHODS: tuple[Method, ...] = ("majority", "shares", "reliability")


def vote(clip: str, annotator: str, *chosen: str, final: bool = False) -> Vote:
    return Vote(clip=clip, annotator=annotator, chosen=chosen, final=final)


def crowd(seed: int, clips: int, errors: dict[str, float], each: int = 3) -> tuple[dict[str, str], list[Vote]]:
    """True classes, and the votes of annotators who err so often."""
    rng = np.random.default_rng(seed)
    truth = {f"clip {n}": str(rng.choice(CLASSES)) for n in range(clips)}
    votes = []
    for clip, name in truth.items():
        for who in rng.permutation(list(errors))[:each]:
            wrong = rng.choice([other for other in CLASSES if other != name])
            votes.append(vote(clip, str(who), str(wrong) if rng.random() < errors[who] else name))
    return truth, votes


def right(labels: dict[str, np.ndarray], truth: dict[str, str]) -> float:
    """The share of probability that falls on the true class where the label's top is one, else of the tie's."""
    tops = {
        clip: np.isclose(label, label.max()) / np.isclose(label, label.max()).sum() for clip, label in labels.items()
    }
    return float(np.mean([tops[clip][CLASSES.index(name)] for clip, name in truth.items()]))


def test_shares_and_majority_by_hand() -> None:
    votes = [vote("a", "x", "sad"), vote("a", "y", "sad"), vote("a", "z", "angry"), vote("b", "x", "sad", "happy")]
    shares = soft_labels(votes, SCHEMA)
    assert shares["a"] == pytest.approx([1 / 3, 0, 0, 2 / 3])
    assert shares["b"] == pytest.approx([0, 0.5, 0, 0.5])
    majority = soft_labels(votes, SCHEMA, "majority")
    assert majority["a"].tolist() == [0, 0, 0, 1]
    assert majority["b"] == pytest.approx([0, 0.5, 0, 0.5])


@pytest.mark.parametrize("method", METHODS)
def test_no_clip_with_a_vote_loses_its_label(method: Method) -> None:
    votes = crowd(0, 30, {"x": 0.1, "y": 0.9, "z": 0.75}, each=2)[1]
    votes += [vote("alone", "stranger", "happy"), vote("half", "x", "bored", "sad"), vote("gone", "x", "bored")]
    labels = soft_labels(votes, SCHEMA, method)
    assert labels.keys() == {v.clip for v in votes} - {"gone"}
    assert all(SCHEMA.check(label) for label in labels.values())
    assert labels["alone"].argmax() == CLASSES.index("happy")
    assert labels["half"].argmax() == CLASSES.index("sad")


@pytest.mark.parametrize("annotators", [{"x": 0.3}, {"x": 0.3, "y": 0.3, "z": 0.3}])
def test_without_overlap_reliability_is_shares(annotators: dict[str, float]) -> None:
    votes = crowd(1, 40, annotators, each=1)[1]
    shares, weighed = soft_labels(votes, SCHEMA), soft_labels(votes, SCHEMA, "reliability")
    assert shares.keys() == weighed.keys()
    for clip, label in shares.items():
        np.testing.assert_array_equal(weighed[clip], label)


@pytest.mark.slow
@pytest.mark.parametrize("clips", [40, 150])
def test_reliability_beats_majority_and_shares_at_30_percent_noise(clips: int) -> None:
    """Three annotators who err in 10, 30 and 50 % of clips, 20 times."""
    gains, likelihoods = [], []
    for seed in range(20):
        truth, votes = crowd(seed, clips, {"x": 0.1, "y": 0.3, "z": 0.5})
        found = {method: soft_labels(votes, SCHEMA, method) for method in METHODS}
        gains.append(right(found["reliability"], truth) - right(found["majority"], truth))
        likelihoods.append(
            [
                np.mean([np.log(max(found[m][clip][CLASSES.index(name)], 1e-2)) for clip, name in truth.items()])
                for m in ("shares", "reliability")
            ]
        )
    error = np.std(gains, ddof=1) / np.sqrt(len(gains))
    assert np.mean(gains) - 2 * error > 0
    shares, weighed = np.mean(likelihoods, axis=0)
    assert weighed > shares


def test_the_better_annotator_is_found_to_be_better() -> None:
    _, votes = crowd(3, 200, {"x": 0.1, "y": 0.3, "z": 0.5})
    found = estimate_reliability(votes, CLASSES)
    assert found is not None
    assert found.skills == pytest.approx({"x": 0.9, "y": 0.7, "z": 0.5}, abs=0.12)


def test_few_answers_neither_make_nor_break_an_annotator() -> None:
    """One who was contradicted in all of three clips is near the mean, and far from one contradicted in fifty."""
    _, votes = crowd(4, 100, {"x": 0.1, "y": 0.1, "z": 0.1}, each=2)
    truth = {clip: max({v.chosen[0] for v in votes if v.clip == clip}) for clip in {v.clip for v in votes}}
    wrong = [vote(clip, "new", next(c for c in CLASSES if c != name)) for clip, name in sorted(truth.items())]

    def skill(answers: int) -> float:
        found = estimate_reliability([*votes, *wrong[:answers]], CLASSES)
        assert found is not None
        assert found.mean - 0.2 < found.skills["new"] or answers > 3
        return found.skills["new"]

    assert skill(3) > skill(50) + 0.3
    assert skill(50) < 0.5


def test_experts_word_is_final_and_counts_alone() -> None:
    _, votes = crowd(5, 40, {"x": 0.1, "y": 0.3, "z": 0.5})
    votes.append(vote("clip 0", "expert", "sad", final=True))
    for method in METHODS:
        assert soft_labels(votes, SCHEMA, method)["clip 0"].tolist() == [0, 0, 0, 1]


def test_order_of_votes_changes_nothing() -> None:
    _, votes = crowd(6, 40, {"x": 0.1, "y": 0.3, "z": 0.5})
    first, second = (soft_labels(order, SCHEMA, "reliability") for order in (votes, votes[::-1]))
    for clip, label in first.items():
        np.testing.assert_allclose(second[clip], label, atol=1e-12)


def test_annotators_who_always_agree_are_believed() -> None:
    labels = soft_labels([vote(f"{n}", who, "sad") for n in range(30) for who in "xy"], SCHEMA, "reliability")
    assert all(label[CLASSES.index("sad")] > 0.99 for label in labels.values())


def test_multiple_choice_has_shares_of_annotators_whatever_the_method() -> None:
    schema = MultipleChoice(classes=CLASSES)
    votes = [vote("a", "x", "sad", "angry"), vote("a", "y", "sad")]
    for method in METHODS:
        assert soft_labels(votes, schema, method)["a"].tolist() == [0.5, 0, 0, 1]


def test_class_weights_from_soft_mass_bring_back_the_recall_of_a_rare_class() -> None:
    """Noise moves mass from common classes to rare ones; a fit to soft labels without weights still misses the rare."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(0)
    schema = SingleChoice(classes=("common", "rare"))
    truth = (rng.random(600) < 0.08).astype(int)
    features = np.c_[rng.normal(size=600) + 1.5 * truth, np.ones(600)]
    votes = [
        vote(f"{row}", who, schema.classes[label ^ int(rng.random() < 0.2)])
        for row, label in enumerate(truth)
        for who in "xyz"
    ]
    labels = soft_labels(votes, schema)
    targets = np.array([labels[f"{row}"] for row in range(600)])

    def recalls(cap: float) -> list[float]:
        weights = schema.class_weights(targets, cap)

        def loss(line: np.ndarray) -> float:
            score = features @ line
            return float((weights * targets * np.c_[np.logaddexp(0, score), np.logaddexp(0, -score)]).sum())

        found = features @ minimize(loss, np.zeros(2)).x > 0
        return [float((found[truth == c] == c).mean()) for c in (0, 1)]

    mass = targets.sum(axis=0)
    weighed = schema.class_weights(targets, 10) * mass
    assert weighed[0] == pytest.approx(weighed[1], rel=1e-5)  # both classes' soft mass counts alike
    plain, balanced = recalls(1), recalls(10)
    assert plain[1] < 0.3
    assert balanced[1] > 0.6
    assert np.mean(balanced) > np.mean(plain) + 0.1
