"""The one contract of acquisition: a strategy declares what it needs and turns it into an order of the candidates."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.errors import StrategyError


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """All N candidates in the order in which to ask for their labels."""

    order: NDArray[
        np.intp
    ]  # (N,) row indices, highest priority first; order[:k] are the picks, which may owe to each other
    k: int  # how many of `order` are picks, 0..N
    scores: NDArray[np.float64]  # (N,) by row, finite, higher = ask first; the picks of a batch strategy may defy it
    clusters: NDArray[np.intp] | None = None  # (N,) by row, 0 = the largest cluster; None where nothing was clustered
    by_chance: tuple[int, ...] = ()  # those of the picks, as rows, that chance drew whatever the strategy

    @property
    def picks(self) -> NDArray[np.intp]:
        """(k,) row indices of the picks, highest priority first."""
        return self.order[: self.k]

    @classmethod
    def by_score(cls, scores: NDArray[np.float64], k: int, *, clusters: NDArray[np.intp] | None = None) -> "Ranked":
        """Highest score first, ties in row order."""
        return cls(order=descending(scores), k=k, scores=scores, clusters=clusters)

    @classmethod
    def picks_first(
        cls,
        picks: NDArray[np.intp],
        scores: NDArray[np.float64],
        k: int,
        *,
        clusters: NDArray[np.intp] | None = None,
    ) -> "Ranked":
        """The given picks first (at most k, distinct), then everything else, highest score first, ties in row order."""
        picked = np.zeros(len(scores), dtype=bool)
        picked[picks] = True
        by_score = descending(scores)
        rest = by_score[~picked[by_score]]
        return cls(order=np.concatenate([picks, rest]).astype(np.intp), k=k, scores=scores, clusters=clusters)


def descending(scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """(N,) rows, highest score first, ties in row order: `np.argsort(-scores, kind="stable")` in half of its time.

    Integers are sorted, which processors do many at once: half of each says what the score is in float32, the other
    half which row it is. Then those rows are put right whose scores differ in float64 alone.
    """
    with np.errstate(over="ignore"):
        rounded = (0.0 - scores).astype(np.float32)  # 0 and -0 alike
    keys = rounded.view(np.int32).astype(np.int64)
    keys ^= (keys >> 31) & 0x7FFFFFFF  # bits of negative numbers grow as these fall
    keys <<= 32
    keys |= np.arange(len(scores))
    keys.sort()
    order = keys & 0xFFFFFFFF
    keys >>= 32
    same = keys[1:] == keys[:-1]
    if same.any():
        places = np.flatnonzero(np.append(same, False) | np.append(False, same))
        rows = order[places]
        order[places] = rows[np.lexsort((-scores[rows], keys[places]))]
    return order.astype(np.intp, copy=False)


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """A way to choose what to label next. `STRATEGIES` lists them all; docs and command line print from there."""

    description: str  # one line for people who choose among strategies
    requires: frozenset[Requires]  # what must be in the inputs, no more
    cost: str  # time, and memory beyond the inputs; N candidates, C classes, K MC samples, D dimensions, k picks
    source: str  # the paper, and where it says so
    departs: str = ""  # in what we do otherwise than the source, for the docs
    exclusive_only: bool = False  # needs classes that exclude each other
    classes_only: bool = False  # needs classes, though not their probabilities
    function: Callable[[Inputs, int, np.random.Generator], Ranked]  # called with N >= 1 and 1 <= k <= N

    def suits(self, predicts: str) -> bool:
        """Whether it can rank by what a model predicts: `probabilities` of classes, or `ratings`."""
        if predicts == Requires.RATINGS:
            return not self.classes_only and not self.requires & {Requires.PROBABILITIES, Requires.MC}
        return Requires.RATINGS not in self.requires

    def rank(self, inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
        """Order all candidates; the first min(k, N) are the picks, distinct.

        Args:
            inputs: of the N candidates, with at least what `requires` names.
            k: how many clips to ask for, >= 0; more than there are means all of them.
            rng: the only source of chance; strategies that need none don't draw from it.

        Raises:
            StrategyError: it can't rank this kind of label.
            ValueError: k is negative, or the inputs lack something that `requires` names.
        """
        if k < 0:
            raise ValueError(f"Can't ask for {k} clips; k must be 0 or more.")
        if self.exclusive_only and not inputs.exclusive:
            raise StrategyError(
                "This strategy ranks single-choice labels only. For multiple choice set entropy, margin or badge."
            )
        for need in self.requires:
            inputs.check(need)
        k = min(k, inputs.candidates)
        if k == 0:
            order = np.arange(inputs.candidates, dtype=np.intp)
            return Ranked(order=order, k=0, scores=np.zeros(inputs.candidates))
        return self.function(inputs, k, rng)
