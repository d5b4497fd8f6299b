"""The guard: some clips of each batch are drawn by chance, so that a strategy that errs can't do much harm."""

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
    )


def guard_share(low: float, high: float, *, start: float = 0.1, least: float = 0.05, most: float = 1.0) -> float:
    """How much of the next batch to draw by chance, given how far the strategy is ahead of chance.

    The evidence is a paired difference on the held-out test set, with its interval: the same clips, answered by a model
    of labels that the strategy chose and by one of as many labels drawn by chance. The more of the interval lies below
    0, the larger the share: `least` where none of it does, `start` at half, `most` where all of it does.

    Args:
        low: lower end of the interval of strategy less chance, in any unit; -inf where nothing is known.
        high: upper end; inf where nothing is known.
        start: the share without evidence, least..most.

    Raises:
        ValueError: the interval or the shares are out of order.
    """
    if not low <= high:
        raise ValueError(f"An interval from {low} to {high} is none.")
    if not 0 <= least <= start <= most <= 1:
        raise ValueError(f"Shares must rise from least to start to most within 0 to 1, not {least}, {start}, {most}.")
    if low >= 0:
        below = 0.0
    elif high <= 0:
        below = 1.0
    elif np.isinf(low) or np.isinf(high):
        below = 0.5
    else:
        below = -low / (high - low)
    return float(np.interp(below, [0.0, 0.5, 1.0], [least, start, most]))
