"""ActiveLab equals its authors' code, and asks where a vote is worth most."""

import warnings

import numpy as np
import pytest

from aftertone_model.votes.active_lab import NO_VOTE, VoteScores, active_lab, next_votes


def drawn(seed: int, clips: int, annotators: int, classes: int, share: float):
    """Votes of annotators of differing quality, and a model's probabilities, some of them certain."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=clips)
    right = rng.random((clips, annotators)) < np.linspace(0.4, 0.95, annotators)
    votes = np.where(right, truth[:, None], rng.integers(classes, size=(clips, annotators)))
    silent = rng.random((clips, annotators)) > share
    silent[np.arange(clips), rng.integers(annotators, size=clips)] = False
    logits = rng.normal(size=(2 * clips, classes)) + 2 * np.eye(classes)[np.concatenate([truth, truth])]
    probabilities = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
    return np.where(silent, NO_VOTE, votes), probabilities[:clips], probabilities[clips:]


@pytest.mark.parametrize(
    ("clips", "annotators", "classes", "share"),
    [(60, 3, 4, 0.5), (200, 5, 6, 0.3), (40, 3, 3, 1.0), (30, 2, 2, 0.4), (25, 8, 5, 0.1), (50, 3, 4, 0.0)],
)
@pytest.mark.parametrize("seed", range(5))
def test_equals_the_authors_code(
    seed: int, clips: int, annotators: int, classes: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for one fault of cleanlab 2.9.0, mended here: where it looks for the temperature it counts votes that are
    floats, as they must be beside NaN, and puts the counts into the first columns, whatever the classes."""
    from cleanlab.internal import multiannotator_utils
    from cleanlab.multiannotator import get_active_learning_scores

    count = multiannotator_utils.value_counts
    monkeypatch.setattr(multiannotator_utils, "value_counts", lambda x, **more: count(x.astype(int), **more))
    votes, probabilities, unlabelled = drawn(seed, clips, annotators, classes, share)
    asked = votes[:, (votes != NO_VOTE).any(axis=0)]  # theirs wants a vote of each annotator
    theirs = np.where(asked == NO_VOTE, np.nan, asked)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labelled, new = get_active_learning_scores(theirs, probabilities, unlabelled)
    found = active_lab(asked, probabilities, unlabelled)
    np.testing.assert_allclose(found.labelled, labelled, atol=1e-6)
    np.testing.assert_allclose(found.unlabelled, new, atol=1e-6)


def test_without_a_label_the_least_certain_clip_is_first() -> None:
    found = active_lab(np.empty((0, 3), int), np.empty((0, 3)), np.array([[0.9, 0.1, 0.0], [0.4, 0.3, 0.3]]))
    assert found.labelled.size == 0
    assert found.unlabelled == pytest.approx([(0.9 + 1 / 3) / 2, (0.4 + 1 / 3) / 2])


def test_a_lone_vote_against_a_sure_model_is_asked_again_and_agreement_is_not() -> None:
    votes = np.array([[0, 0, 0], [1, 1, 1], [0, 0, NO_VOTE], [1, 1, NO_VOTE], [1, NO_VOTE, NO_VOTE]] * 4)
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.1, 0.9], [0.95, 0.05]] * 4)
    scores = active_lab(votes, probabilities, np.array([[0.9, 0.1]]))
    assert scores.labelled[4] < scores.unlabelled[0] < scores.labelled[0]
    full = (votes != NO_VOTE).all(axis=1)
    chosen = next_votes(scores, [f"c{row}" for row in range(20)], ["new"], 5, full)
    assert set(chosen.again) == {"c4", "c9", "c14", "c19"}
    assert chosen.new == ("new",)


def test_no_clip_is_asked_twice_in_a_batch_nor_beyond_its_annotators() -> None:
    scores = VoteScores(labelled=np.array([0.1, 0.2]), unlabelled=np.array([0.3, 0.2]))
    chosen = next_votes(scores, ["a", "b"], ["c", "d"], 9, np.array([True, False]))
    assert chosen.again == ("b",)
    assert chosen.new == ("d", "c")
    assert next_votes(scores, ["a", "b"], ["c", "d"], 0, np.array([False, False])).again == ()
