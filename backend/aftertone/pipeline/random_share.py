"""The random share of the batches as a second look at the model: what rounds said of clips before people did."""

from collections.abc import Mapping, Sequence

import numpy as np

from aftertone.store.rounds import RandomShare, Round, SoftLabels
from aftertone_model.evaluation.estimate import MIN_CLIPS
from aftertone_model.labels import LabelSchema


def random_share(
    rounds: Sequence[Round],
    labelled: SoftLabels,
    schema: LabelSchema,
    question: str,
    speakers: Mapping[str, str | None],
    seed: int,
) -> RandomShare | None:
    """How well the rounds since the last such figure judged what chance drew for their batches.

    A clip counts where chance drew it for a round's batch and the next round has its label. The round had no label of
    it, so that it can't have learned it; and which of the drawn clips are labelled in time is decided by their place in
    the queue, which is chance too. Clips that were labelled later don't count: a query strategy may have chosen them.

    Args:
        rounds: complete ones that count, oldest first; those about another question or other classes tell nothing.
        labelled: of the round that is being made.
        speakers: clip -> who speaks, where known.

    Returns:
        None where fewer than `MIN_CLIPS` clips have come together yet.
    """
    last = max((place for place, record in enumerate(rounds) if record.random_share is not None), default=0)
    after = [*(record.labelled for record in rounds[1:]), labelled]
    found: list[tuple[int, str]] = []  # place of a round, clip
    for place in range(last, len(rounds)):
        record = rounds[place]
        if record.learned(question, schema):
            new = after[place].keys() - record.labelled.keys()
            found += [(place, clip) for clip in sorted(record.by_chance.keys() & new)]
    if len(found) < MIN_CLIPS:
        return None
    truth = np.array([after[place][clip] for place, clip in found])  # (N, C)
    told = np.array([rounds[place].by_chance[clip] for place, clip in found])  # (N, C)
    clear = schema.clear(truth)
    found = [one for one, kept in zip(found, clear.tolist(), strict=True) if kept]
    if len(found) < MIN_CLIPS:
        return None
    clips = [clip for _, clip in found]
    metrics = schema.measure(truth[clear], told[clear], [speakers.get(clip) for clip in clips], seed, clips)
    return RandomShare(
        metrics=metrics,
        labels=float(np.mean([rounds[place].labels for place, _ in found])),
        rounds=tuple(sorted({rounds[place].number for place, _ in found})),
    )
