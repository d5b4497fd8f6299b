import itertools

import numpy as np
import pytest

from aftertone_model.acquisition.joint_entropy import JointOutcomes


def joint_entropy(clips: np.ndarray) -> float:
    """H(y_1..y_m) of clips (m, K, C), by enumerating every outcome."""
    total = 0.0
    for labels in itertools.product(range(clips.shape[2]), repeat=len(clips)):
        chance = np.prod([clips[i, :, label] for i, label in enumerate(labels)], axis=0).mean()
        total -= chance * np.log(chance)
    return total


@pytest.fixture
def clips() -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.full(3, 0.5), (5, 4))  # (m, K, C)


def added(clips: np.ndarray, most: int) -> JointOutcomes:
    joint = JointOutcomes(clips.shape[1], most, np.random.default_rng(1))
    for clip in clips:
        joint.add(clip)
    return joint


def test_exact_outcomes_give_the_joint_entropy(clips: np.ndarray) -> None:
    joint = added(clips[:4], most=81)
    assert joint.exact
    assert joint.weights.sum() == pytest.approx(1)
    assert joint.entropies(clips[4:])[0] == pytest.approx(joint_entropy(clips) - joint_entropy(clips[:4]), abs=1e-6)


def test_sampled_outcomes_come_close(clips: np.ndarray) -> None:
    joint = added(clips[:4], most=80)
    assert not joint.exact
    large = added(np.concatenate([clips[:4], np.full((12, 4, 3), 1 / 3)]), most=40_000)  # the last 12 tell nothing
    assert not large.exact
    assert large.entropies(clips[4:])[0] == pytest.approx(joint_entropy(clips) - joint_entropy(clips[:4]), abs=5e-3)


def test_hundreds_of_clips_do_not_underflow() -> None:
    clips = np.random.default_rng(0).dirichlet(np.full(4, 0.2), (300, 8))
    entropies = added(clips, most=64).entropies(clips[:10])
    assert np.isfinite(entropies).all()
    assert (entropies >= -1e-6).all()


def test_certain_and_impossible_labels_are_fine() -> None:
    certain = np.zeros((6, 4, 3))
    certain[:, :2, 0] = certain[:, 2:, 1] = 1
    for most in (1_000, 8):
        joint = added(certain, most)
        assert joint.entropies(certain[:1])[0] == pytest.approx(0, abs=1e-6)  # the first label tells all the others
