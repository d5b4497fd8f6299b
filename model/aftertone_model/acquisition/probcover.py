"""ProbCover: clips whose neighbourhoods cover as much of the pool as possible."""

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition.clustering import kmeans
from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.strategy import Ranked

PURITY = 0.95  # share of the balls whose clips are all of one cluster: the paper's alpha
BALLS = 1_000  # the radius is chosen on at most this many balls
COVERED = 2_048  # a ball counts by how many of at most this many clips, drawn by chance, it covers
CHUNK = 8_192  # rows whose products are held at once
ROUNDING = 1e-6  # a unit vector's product with itself may be this far from 1


def rank_by_probcover(inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
    """Again and again the clip whose ball holds the most clips that no label's and no pick's ball holds.

    Embeddings have length 1, balls have one radius. Once everything is covered a second cover of the whole pool begins.
    Scores are the share of the pool that a clip's ball newly covers beside the labelled ones.

    Source: Yehuda, Dekel, Hacohen, Weinshall, arXiv 2205.11320, algorithm 1, with its radius of 95 % purity.
    """
    points = unit_length(inputs.require(Requires.EMBEDDINGS))  # (N, D)
    known = inputs.known()
    radius = pure_radius(points, known.labels.shape[1], rng)
    rows = _subset(len(points), COVERED, rng)
    targets = points[rows]  # (S, D)
    balls = cover_bits(points, targets, radius)  # (N, W) which targets each clip's ball holds
    everything = np.bitwise_or.reduce(balls, axis=0)  # (W,)
    held = cover_bits(unit_length(known.embeddings), targets, radius)  # (M, W)
    uncovered = everything & ~np.bitwise_or.reduce(held, axis=0)
    fresh = _bits_set(balls & uncovered)  # (N,)
    scores = fresh / len(rows)
    picks = np.empty(k, dtype=np.intp)
    free = np.ones(len(points), dtype=bool)
    for done in range(k):
        if not (free & (fresh > 0)).any():
            uncovered = everything
            fresh = _bits_set(balls & uncovered)
        pick = int(np.argmax(np.where(free, fresh, -1)))
        picks[done], free[pick] = pick, False
        fresh -= _bits_set(balls & (balls[pick] & uncovered))
        uncovered = uncovered & ~balls[pick]
    return Ranked.picks_first(picks, scores, k)


def pure_radius(points: NDArray[np.float32], classes: int, rng: np.random.Generator) -> float:
    """The largest radius at which 95 % of the balls around clips hold clips of one cluster only.

    Clusters stand in for classes, of which there are as many. A ball is pure up to the distance of the nearest clip of
    another cluster, so that the radius is a quantile of these distances and no grid of radii is tried.

    Args:
        points: (N, D) of length 1, N >= 1.
    """
    labels = kmeans(points, classes, rng).labels
    if labels.max() == 0:
        return 2.0  # one cluster: all balls are pure, and this one holds the whole sphere
    rows = _subset(len(points), BALLS, rng)
    nearest = np.full(len(rows), -1.0)  # product with the nearest clip of another cluster
    for start in range(0, len(points), CHUNK):
        products = points[rows] @ points[start : start + CHUNK].T
        products[labels[rows][:, None] == labels[start : start + CHUNK]] = -1
        nearest = np.maximum(nearest, products.max(axis=1))
    distances = np.sqrt(np.maximum(2 - 2 * nearest, 0))
    impure = int((1 - PURITY) * len(rows) + ROUNDING)  # so many balls may be
    return float(np.sort(distances)[min(impure, len(rows) - 1)])


def cover_bits(centres: NDArray[np.float32], targets: NDArray[np.float32], radius: float) -> NDArray[np.uint64]:
    """(N, W) bits, 64 in a word: whether the ball around each of the centres (N, D) holds each target (S, D)."""
    least = 1 - radius**2 / 2 - ROUNDING  # product of unit vectors at that distance
    words = (len(targets) + 63) // 64
    bits = np.zeros((len(centres), 8 * words), dtype=np.uint8)
    for start in range(0, len(centres), CHUNK):
        packed = np.packbits(centres[start : start + CHUNK] @ targets.T >= least, axis=1)
        bits[start : start + CHUNK, : packed.shape[1]] = packed
    return bits.view(np.uint64)


def _bits_set(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """(N, W) -> (N,)."""
    return np.bitwise_count(words).sum(axis=1, dtype=np.int64)


def unit_length(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, D) scaled to length 1; a row of zeros stays."""
    rows = np.asarray(rows, dtype=np.float32)
    scaled = np.empty_like(rows)
    for start in range(0, len(rows), CHUNK):
        block = rows[start : start + CHUNK]
        norms = np.linalg.norm(block, axis=1, keepdims=True)
        np.divide(block, np.where(norms > 0, norms, 1), out=scaled[start : start + CHUNK])
    return scaled


def _subset(size: int, most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return np.arange(size) if size <= most else np.sort(rng.choice(size, most, replace=False))
