"""What the picks of a query strategy are for, as numbers that don't depend on who picked them."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmarks.acquisition_case import Case, Pool

CHUNK = 8_192
EXACT = 8  # picks whose joint outcomes are all held: 65,536 of four classes
NEIGHBOURS = 20
LARGE = 100_000  # clips; beyond that nobody is compared, and the numbers would take longer than the strategies


def objectives(case: "Case", pool: "Pool", picks: NDArray[np.intp]) -> dict[str, float]:
    """Name -> value; nothing for a strategy without a peer."""
    from benchmarks.acquisition_case import LABELLED, UNCERTAIN

    if case.strategy in UNCERTAIN:
        return {"mean score of the picks": float(_scores(case.strategy, pool.probabilities[picks]).mean())}
    if case.candidates > LARGE:
        return {}
    if case.strategy == "batchbald":
        return {f"nats that the first {EXACT} labels tell": _information(pool.mc[picks[:EXACT]])}
    if case.strategy == "badge":
        residuals = pool.probabilities - np.eye(case.classes, dtype=np.float32)[pool.probabilities.argmax(axis=1)]
        nearest = _nearest(pool.embeddings, pool.embeddings[picks], residuals, residuals[picks])
        return {"mean squared distance of a gradient from the nearest pick's": float(nearest.mean())}
    if case.strategy not in ("coreset", "typiclust", "probcover"):
        return {}
    centres = np.concatenate([pool.everything[:LABELLED], pool.embeddings[picks]])
    if case.strategy == "coreset":
        return {"distance of the furthest clip from a label": float(_nearest(pool.embeddings, centres).max() ** 0.5)}
    if case.strategy == "probcover":
        points = pool.embeddings / np.linalg.norm(pool.embeddings, axis=1, keepdims=True)
        centres = centres / np.linalg.norm(centres, axis=1, keepdims=True)
        return {
            "radius": pool.radius,
            "share of clips within it": float((_nearest(points, centres) <= pool.radius**2 + 1e-5).mean()),
        }
    apart = [_nearest_of_all(pool.everything, row) for row in picks + LABELLED]
    return {
        f"mean distance of a pick from its {NEIGHBOURS} nearest clips": float(np.mean(apart)),
        "mean distance of a clip from the nearest label": float(np.sqrt(_nearest(pool.embeddings, centres)).mean()),
    }


def _scores(strategy: str, probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    ascending = np.sort(probabilities.astype(np.float64), axis=1)
    if strategy == "entropy":
        return -(ascending * np.log(np.maximum(ascending, 1e-300))).sum(axis=1)
    return 1 - ascending[:, -1] + (ascending[:, -2] if strategy == "margin" else 0)


def _nearest(
    points: NDArray[np.float32],
    centres: NDArray[np.float32],
    factors: NDArray[np.float32] | None = None,
    of_centres: NDArray[np.float32] | None = None,
) -> NDArray[np.float64]:
    """(N,) squared distance of points from the nearest centre; of outer products of points and factors, if given."""
    if factors is None or of_centres is None:
        mean = points.mean(axis=0)
        factors, of_centres = np.ones((len(points), 1), np.float32), np.ones((len(centres), 1), np.float32)
    else:
        mean = np.zeros(points.shape[1], np.float32)
    centres = centres - mean
    lengths = np.square(centres).sum(axis=1) * np.square(of_centres).sum(axis=1)
    found = np.empty(len(points))
    for start in range(0, len(points), CHUNK):
        short, factor = points[start : start + CHUNK] - mean, factors[start : start + CHUNK]
        own = np.square(short).sum(axis=1) * np.square(factor).sum(axis=1)
        apart = own[:, None] + lengths - 2 * (short @ centres.T) * (factor @ of_centres.T)
        found[start : start + CHUNK] = np.maximum(apart.min(axis=1), 0)
    return found


def _nearest_of_all(points: NDArray[np.float32], row: int) -> float:
    """Mean distance of one row from the nearest others."""
    found = np.empty(len(points))
    for start in range(0, len(points), CHUNK):
        found[start : start + CHUNK] = np.square(points[start : start + CHUNK] - points[row]).sum(axis=1)
    found[row] = np.inf
    return float(np.sqrt(np.partition(found, NEIGHBOURS)[:NEIGHBOURS]).mean())


def _information(chances: NDArray[np.floating]) -> float:
    """I(y_S; theta) in nats, over all joint outcomes of the clips. (n, K, C)."""
    joint = np.ones((1, chances.shape[1]))
    conditional = 0.0
    for clip in np.maximum(chances.astype(np.float64), 1e-12):
        joint = (joint[:, None] * clip.T).reshape(-1, chances.shape[1])  # (M, K)
        conditional -= float((clip * np.log(clip)).sum(axis=1).mean())
    mean = joint.mean(axis=1)
    return float(-(mean * np.log(mean)).sum() - conditional)
