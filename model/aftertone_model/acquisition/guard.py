"""The guard: some clips of each batch are drawn by chance, so that a strategy that errs does less harm."""

import numpy as np

from aftertone_model.acquisition.inputs import Inputs
from aftertone_model.acquisition.strategy import Ranked, Strategy


def rank_guarded(
    strategy: Strategy, inputs: Inputs, k: int, share: float, rng: np.random.Generator, chance: np.random.Generator
) -> Ranked:
    """The strategy's order with a share of the k picks drawn by chance, evenly spread among the strategy's own.

    The number drawn is `share` times k, rounded up or down by chance so that it is right on average for any k. They are
    drawn from all clips that the strategy doesn't pick itself. Scores remain the strategy's.

    Args:
        share: 0..1; at 0 this is `strategy.rank`.
        rng: the strategy's source of chance.
        chance: of what is drawn here; the caller should change it from round to round.

    Raises:
        StrategyError, ValueError: as `Strategy.rank`.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"The random share must be 0 to 1, not {share}.")
    k = min(k, inputs.candidates)
    drawn = int(share * k + chance.random()) if k > 0 else 0
    if drawn == 0:
        return strategy.rank(inputs, k, rng)
    chosen = k - drawn
    ranked = strategy.rank(inputs, max(chosen, 1), rng)  # the order behind the picks is the strategy's in any case
    rest = ranked.order[chosen:]
    random = chance.choice(np.sort(rest), drawn, replace=False)
    by_chance = np.zeros(k, dtype=bool)
    by_chance[((np.arange(drawn) + 0.5) * k / drawn).astype(np.intp)] = True
    picks = np.empty(k, dtype=np.intp)
    picks[by_chance], picks[~by_chance] = random, ranked.order[:chosen]
    return Ranked(
        order=np.concatenate([picks, rest[~np.isin(rest, random)]]),
        k=k,
        scores=ranked.scores,
        clusters=ranked.clusters,
        by_chance=tuple(random.tolist()),
    )
