"""Distances of a pool from centres, and the greedy search for the clip furthest from all centres."""

import numpy as np
from numpy.typing import NDArray

CHUNK, CENTRES = 8_192, 512  # clips and centres between which distances are held at once
SHORTLIST = 64  # one clip of so many is looked at for each pick
LEAST_SHORTLIST = 256


class SquaredDistances:
    """Squared distances of N points from centres; with ratings, times the squared difference of each rating.

    Points are centred block by block, as products of short vectors round less, so that no second copy is held.
    """

    def __init__(self, points: NDArray[np.floating], ratings: NDArray[np.floating] | None = None) -> None:
        """`points` is (N, D), `ratings` (N, R)."""
        self.points = np.asarray(points, dtype=np.float32)
        self.ratings = ratings
        self.mean = self.points.mean(axis=0, dtype=np.float64).astype(np.float32)  # (D,)
        self.squares = np.empty(len(points), dtype=np.float32)  # (N,) squared lengths of the centred points
        for start in range(0, len(points), CHUNK):
            rows = slice(start, start + CHUNK)
            self.squares[rows] = _squares(self.points[rows] - self.mean)

    def lower(
        self,
        nearest: NDArray[np.float64],
        centres: NDArray[np.floating],
        ratings: NDArray[np.floating] | None = None,
    ) -> None:
        """Lower the distances `nearest` (N,) to those from the centres (M, D), rated (M, R), where these are nearer."""
        for first in range(0, len(centres), CENTRES):
            some = slice(first, first + CENTRES)
            short = np.asarray(centres[some], dtype=np.float32) - self.mean
            doubled, lengths = -2 * short.T, _squares(short)
            for start in range(0, len(self.points), CHUNK):
                rows = slice(start, start + CHUNK)
                found = (self.points[rows] - self.mean) @ doubled
                found += lengths
                if self.ratings is None or ratings is None:
                    least = found.min(axis=1) + self.squares[rows]
                else:
                    found = np.maximum(found + self.squares[rows, None], 0) * _apart(self.ratings[rows], ratings[some])
                    least = found.min(axis=1)
                nearest[rows] = np.minimum(nearest[rows], np.maximum(least, 0))

    def among(self, rows: NDArray[np.intp], centred: NDArray[np.float32], centre: int) -> NDArray[np.floating]:
        """(M,) of those rows, whose centred points are given, from one row."""
        products = centred @ (self.points[centre] - self.mean)
        found = np.maximum(self.squares[rows] + self.squares[centre] - 2 * products, 0)
        return found if self.ratings is None else found * _apart(self.ratings[rows], self.ratings[[centre]])[:, 0]


def furthest_first(
    pool: SquaredDistances, nearest: NDArray[np.float64], count: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """`count` rows, each the furthest from all centres and from the rows before it, ties in row order; and how far.

    The distance to the nearest centre only falls, so that an old one is an upper bound. Of each pick only the clips
    furthest away are told, as long as the best of them is beyond the bounds of all others; then the others are told of
    several picks at once, which costs hardly more than to tell them of one.

    Args:
        nearest: (N,) distances to the nearest centre, -1 of what may not be picked. At the end it heeds the picks,
            whose own are -1.
    """
    picks, distances = np.empty(count, dtype=np.intp), np.empty(count)
    size, done = min(max(len(nearest) // SHORTLIST, LEAST_SHORTLIST), len(nearest)), 0
    while done < count:
        told, outside = done, len(nearest) - size
        ascending = np.argpartition(nearest, outside - 1) if outside else np.arange(size)
        rows, bound = np.sort(ascending[outside:]), nearest[ascending[:outside]].max(initial=-1)
        own, centred = nearest[rows], pool.points[rows] - pool.mean
        pick, distance = int(np.argmax(nearest)), nearest.max()
        while done < count:
            picks[done], distances[done] = pick, distance
            done += 1
            own = np.minimum(own, pool.among(rows, centred, pick))
            own[rows == pick] = -1
            best = int(np.argmax(own))
            pick, distance = int(rows[best]), own[best]
            if distance <= bound:
                break
        fresh = picks[told:done]
        pool.lower(nearest, pool.points[fresh], None if pool.ratings is None else pool.ratings[fresh])
        nearest[fresh] = -1
    return picks, distances


def _apart(ratings: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, M) product of the squared differences of ratings (N, R) and (M, R)."""
    found = np.ones((len(ratings), len(others)))
    for own, given in zip(ratings.T, others.T, strict=True):
        found *= np.square(own[:, None].astype(np.float64) - given)
    return found


def _squares(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, D) -> (N,) squared lengths."""
    return np.einsum("nd,nd->n", rows, rows)
