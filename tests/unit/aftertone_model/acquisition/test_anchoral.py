import numpy as np

from aftertone_model.acquisition import STRATEGIES, Inputs, Labelled
from aftertone_model.acquisition.anchoral import members, similar, spread
from aftertone_model.acquisition.probcover import unit_length


def test_candidates_count_by_the_mean_cosine_with_the_anchors_that_found_them() -> None:
    rng = np.random.default_rng(0)
    points, anchors = unit_length(rng.normal(size=(300, 5))), unit_length(rng.normal(size=(4, 5)))
    found: dict[int, list[float]] = {}
    for anchor in anchors:
        cosines = points @ anchor
        for row in np.argsort(-cosines)[:50]:
            found.setdefault(int(row), []).append(float(cosines[row]))
    expected = sorted(found, key=lambda row: -float(np.mean(found[row])))
    assert similar(points, anchors).tolist() == expected


def test_anchors_are_spread_over_a_class() -> None:
    """Nine clips alike and one apart: ten draws of three anchors nearly always hold it."""
    points = unit_length(np.concatenate([np.tile([1.0, 0.0], (30, 1)), [[0.0, 1.0]]]))
    for seed in range(10):
        rows = spread(points, 3, np.random.default_rng(seed))
        assert 30 in rows
        assert len(set(rows)) == 3


def test_a_labelled_clip_belongs_to_its_majority_or_to_all_that_half_chose() -> None:
    known = Labelled(
        labels=np.array([[0.2, 0.8], [0.5, 0.5]]), predictions=np.full((2, 2), 0.5), embeddings=np.ones((2, 1))
    )
    assert members(known, exclusive=True).tolist() == [[False, True], [True, False]]
    assert members(known, exclusive=False).tolist() == [[False, True], [True, True]]


def test_picks_are_the_smallest_margins_near_the_labels() -> None:
    rng = np.random.default_rng(0)
    angles = np.linspace(0, np.pi, 400)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    chances = rng.uniform(0.5, 1, 400)
    inputs = Inputs(
        candidates=400,
        probabilities=np.stack([chances, 1 - chances], axis=1),
        embeddings=points,
        labelled=Labelled(labels=np.eye(2), predictions=np.eye(2), embeddings=points[[0, -1]]),
    )
    picks = STRATEGIES["anchoral"].rank(inputs, 10, rng).picks
    near = np.concatenate([np.arange(20), np.arange(380, 400)])  # a tenth of the pool, half of it near each label
    assert picks.tolist() == near[np.argsort(chances[near])][:10].tolist()
