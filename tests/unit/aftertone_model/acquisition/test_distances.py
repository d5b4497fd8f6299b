import numpy as np
import pytest

from aftertone_model.acquisition import distances
from aftertone_model.acquisition.distances import SquaredDistances, furthest_first


def one_by_one(points: np.ndarray, ratings: np.ndarray | None, count: int) -> list[int]:
    """The first row, then again and again the row furthest from all before it; every distance written out."""
    apart = ((points[:, None].astype(np.float64) - points) ** 2).sum(axis=2)
    if ratings is not None:
        apart = apart * ((ratings[:, None] - ratings) ** 2).prod(axis=2)
    picks, nearest = [0], apart[0].copy()
    for _ in range(count):
        nearest[picks] = -1
        picks.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, apart[picks[-1]])
    return picks[1:]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few clips in a shortlist, and so few in a block, that small pools need many of both."""
    monkeypatch.setattr(distances, "LEAST_SHORTLIST", 5)
    monkeypatch.setattr(distances, "CHUNK", 70)
    monkeypatch.setattr(distances, "CENTRES", 2)


@pytest.mark.parametrize("rated", [False, True])
@pytest.mark.parametrize("count", [1, 25, 299])
def test_picks_what_a_search_without_shortlist_picks(rated: bool, count: int) -> None:
    rng = np.random.default_rng(count)
    points = (50 + rng.normal(size=(300, 6))).astype(np.float32)
    ratings = rng.random((300, 2)) if rated else None
    pool, nearest = SquaredDistances(points, ratings), np.full(300, np.inf)
    pool.lower(nearest, points[:1], None if ratings is None else ratings[:1])
    nearest[0] = -1
    picks, far = furthest_first(pool, nearest, count)
    assert picks.tolist() == one_by_one(points, ratings, count)
    assert (np.diff(far) <= 1e-4 * far[0]).all()
    assert (nearest[[0, *picks]] == -1).all()
    assert (np.delete(nearest, [0, *picks]) <= far[-1] + 1e-4 * far[0]).all()


def test_ties_in_row_order() -> None:
    points = np.repeat(10 * np.eye(4, dtype=np.float32), 30, axis=0)
    nearest = np.full(120, 7.0)
    assert furthest_first(SquaredDistances(points), nearest, 4)[0].tolist() == [0, 30, 60, 90]


def test_nearest_of_several_centres_wherever_the_pool_lies() -> None:
    rng = np.random.default_rng(0)
    points, centres = 100 + rng.normal(size=(200, 5)), 100 + rng.normal(size=(7, 5))
    nearest = np.full(200, np.inf)
    SquaredDistances(points).lower(nearest, centres)
    assert nearest == pytest.approx(((points[:, None] - centres) ** 2).sum(axis=2).min(axis=1), abs=1e-2)
