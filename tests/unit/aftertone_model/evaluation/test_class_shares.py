"""The estimated share of a class in a pool: its interval covers the truth as often as it says."""

import numpy as np
import pytest

from aftertone_model.evaluation.class_shares import class_share


def pool(random: np.random.Generator, share: float, size: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """(N,) whether each clip has the class, and scores of a model that is too sure that it hasn't."""
    truth = random.random(size) < share
    logits = random.normal(size=size) + apart * (2 * truth - 1) - 1
    return truth, 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("tested", [15, 60, 200])
def test_intervals_cover_the_truth_whatever_the_model_is_worth(tested: int) -> None:
    random, covered, wide = np.random.default_rng(tested), [], {0.0: [], 1.5: []}
    for share in (0.05, 0.3, 0.6):
        for apart in wide:
            for repeat in range(25):
                truth, scores = pool(random, share, 1_500, apart)
                test = random.permutation(len(truth))[:tested]
                found = class_share(scores, scores[test], truth[test].astype(float), truth[test].sum(), seed=repeat)
                assert found is not None
                covered.append(found.low <= truth.mean() <= found.high)
                wide[apart].append(found.high - found.low)
    assert np.mean(covered) >= 0.92
    if tested >= 60:  # a model that tells the class makes the interval narrower
        assert np.mean(wide[1.5]) < 0.85 * np.mean(wide[0.0])


def test_labels_that_were_chosen_for_training_do_not_move_it() -> None:
    random, off = np.random.default_rng(7), []
    for repeat in range(60):
        truth, scores = pool(random, 0.2, 1_500, 1.0)
        test = random.permutation(len(truth))[:120]
        asked = np.setdiff1d(np.argsort(-scores)[:150], test)  # the clips that look most like it
        known = truth[asked].sum() + truth[test].sum()
        found = class_share(
            scores, scores[test], truth[test].astype(float), known, 1_500 - len(asked) - 120, seed=repeat
        )
        assert found is not None
        off.append(found.value - truth.mean())
    assert abs(np.mean(off)) < 0.015


def test_held_out_speakers_make_it_wider() -> None:
    random = np.random.default_rng(1)
    voices = np.repeat(np.arange(10), 20)
    truth = (random.random(10)[voices] > 0.5).astype(float)  # a speaker has the class always, or never
    scores = random.random(200)
    by_clip = class_share(scores, scores, truth)
    by_voice = class_share(scores, scores, truth, speakers=[str(voice) for voice in voices])
    assert by_clip is not None
    assert by_voice is not None
    assert by_voice.high - by_voice.low > 2 * (by_clip.high - by_clip.low)


def test_without_a_test_clip_nobody_can_tell() -> None:
    assert class_share(np.array([0.5, 0.6]), np.empty(0), np.empty(0)) is None


def test_a_class_that_nobody_met_is_not_certainly_absent() -> None:
    found = class_share(np.linspace(0, 1, 1_000), np.linspace(0, 1, 30), np.zeros(30))
    assert found is not None
    assert found.value == 0
    assert 0.03 < found.high < 0.2
