"""The order in which to ask annotators for labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition import Ranked
from aftertone_model.data.clips import Clip


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """All N candidates in order; every array is aligned with `order`."""

    order: tuple[str, ...]  # (N,) clip ids, ask-first first
    k: int  # how many of them are the picks, 0..N
    strategy: str  # the name of the strategy or seeding that made the order
    scores: NDArray[np.float64]  # (N,) higher = ask first; the picks of a batch strategy may defy it
    clusters: NDArray[np.intp] | None  # (N,) 0 = the largest cluster; None where nothing was clustered
    predictions: NDArray[np.float64] | None  # (N, C) `LabelSchema.predictions`; None for a seed set, which has no model
    by_chance: frozenset[str] = frozenset()  # those of the picks that chance drew whatever the strategy

    @property
    def picks(self) -> tuple[str, ...]:
        """The k clips to ask for now, ask-first first."""
        return self.order[: self.k]

    @classmethod
    def of(
        cls, clips: Sequence[Clip], ranked: Ranked, strategy: str, predictions: NDArray[np.float64] | None = None
    ) -> "Ranking":
        """Ranked rows of clips as an order of their ids; `predictions` is (N, C) by row."""
        return cls(
            order=tuple(clips[int(row)].id for row in ranked.order),
            k=ranked.k,
            strategy=strategy,
            scores=ranked.scores[ranked.order],
            clusters=None if ranked.clusters is None else ranked.clusters[ranked.order],
            predictions=None if predictions is None else predictions[ranked.order],
            by_chance=frozenset(clips[row].id for row in ranked.by_chance),
        )
