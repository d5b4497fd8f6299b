"""A pool in few dimensions: what a round's model makes of each clip, small enough to keep, to draw and to search."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aftertone_model.data.clips import Clip

DIMENSIONS = 32  # principal components that are kept; the first two are the map
SOUND = 0.1
"""Share of the components in how alike two clips are; the rest is that of the answers. With more of it, search finds
fewer clips of the example's emotion; with none, the order among clips of one answer is chance
(docs/benchmarks/search.md)."""
EXAMPLES = 4_000  # clips, drawn by chance, that components are taken of


@dataclass(frozen=True, kw_only=True)
class Projection:
    """From a model's embeddings of clips to the few numbers of each that are kept."""

    mean: NDArray[np.float32]  # (D,)
    components: NDArray[np.float32]  # (K, D)

    def of(self, embeddings: NDArray[np.floating]) -> NDArray[np.float16]:
        """(N, K) of embeddings (N, D), which count as exactly as `PoolMap` keeps them."""
        rows = embeddings.astype(np.float16).astype(np.float32)
        return ((rows - self.mean) @ self.components.T).astype(np.float16)


class PoolMap:
    """Embeddings of clips, as they are scored."""

    def __init__(self) -> None:
        self._found: dict[str, NDArray[np.float16]] = {}

    def add(self, clips: Sequence[Clip], embeddings: NDArray[np.floating]) -> None:
        """Remember those (N, D) of the clips."""
        rows = embeddings.astype(np.float16)
        self._found |= {clip.id: row for clip, row in zip(clips, rows, strict=True)}

    def projection(self, ids: Sequence[str], seed: int) -> Projection | None:
        """Principal components of the clips, at most DIMENSIONS, scaled so that the first has a deviation of 1.

        None where a clip was never scored, or there are less than three.
        """
        if len(ids) < 3 or any(clip not in self._found for clip in ids):
            return None
        embeddings = self._embeddings(ids)  # (N, D)
        chosen = np.random.default_rng(seed).permutation(len(ids))[:EXAMPLES]
        mean = embeddings[chosen].mean(axis=0)
        components = np.linalg.svd(embeddings[chosen] - mean, full_matrices=False)[2][:DIMENSIONS]  # (K, D)
        # The sign of a component is chance; the same pool shall look the same.
        components *= np.sign(components[np.arange(len(components)), np.abs(components).argmax(axis=1)])[:, None]
        deviation = float(((embeddings - mean) @ components[0]).std())
        return Projection(mean=mean, components=components / np.float32(max(deviation, 1e-6)))

    def through(self, projection: Projection, ids: Sequence[str]) -> NDArray[np.float16]:
        """(N, K) components of clips that were scored, rows in the order of their ids."""
        return projection.of(self._embeddings(ids))

    def _embeddings(self, ids: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._found[clip] for clip in ids]).astype(np.float32)


def likable(reduced: NDArray[np.floating], predictions: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, K + C) rows of length 1, whose product says how alike two clips are, in [-1, 1].

    `SOUND` of it is the cosine of their components, the rest the Bhattacharyya coefficient of their class
    probabilities.

    Args:
        reduced: (N, K) components.
        predictions: (N, C) probabilities.
    """
    sound, answers = _unit(reduced.astype(np.float32)), _unit(np.sqrt(predictions).astype(np.float32))
    return np.concatenate([sound * np.float32(np.sqrt(SOUND)), answers * np.float32(np.sqrt(1 - SOUND))], axis=1)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
