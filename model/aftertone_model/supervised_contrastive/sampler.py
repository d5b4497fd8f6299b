"""Batches of stage 1: one emotion's clips from two corpora, and as many of other emotions (the paper's section 3.1)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aftertone_model.errors import CorpusError


@dataclass(frozen=True, kw_only=True)
class PairBatch:
    """Rows of a batch of N clips."""

    emotion: str
    positives: NDArray[np.int64]  # (N / 2,) of the emotion; the two halves come from two corpora where both have it
    negatives: NDArray[np.int64]  # (N / 2,) of others, half from each corpus


class PairSampler:
    """Draws batches from two corpora at a time.

    Where there are more than two, which the paper hasn't, each batch draws two of them. Where a corpus has fewer clips
    than its quota, some of them are drawn twice.
    """

    def __init__(self, emotions: Sequence[str], corpora: Sequence[str], batch_size: int, seed: int) -> None:
        """
        Args:
            emotions: of each of R rows.
            corpora: of each row.
            batch_size: N, a multiple of 4.

        Raises:
            CorpusError: fewer than two corpora, or two of them have but one emotion between them.
        """
        self.emotions, self.corpora, self.quota = np.array(emotions), np.array(corpora), batch_size // 4
        self.names = sorted(set(corpora))
        self.rng = np.random.default_rng(seed)
        if len(self.names) < 2:
            raise CorpusError(
                f"Supervised contrastive learning compares corpora, and the source has {len(self.names)} "
                f"({', '.join(self.names) or 'none'}). Give the manifest a column `corpus` with two values or more, or "
                "name a further source."
            )
        for corpus in self.names:
            if len(set(self.emotions[self.corpora == corpus])) < 2:
                raise CorpusError(
                    f"The corpus {corpus} has clips of one emotion only, so that none are left to tell them from. "
                    "Leave it out of the source, or add clips of other emotions."
                )

    @property
    def batches(self) -> int:
        """Of an epoch: as many as there are clips, divided by the batch size; one at least."""
        return max(1, len(self.emotions) // (4 * self.quota))

    def epoch(self) -> Iterator[PairBatch]:
        """The batches of an epoch."""
        for _ in range(self.batches):
            yield self.draw()

    def draw(self) -> PairBatch:
        """One batch."""
        pair = self.rng.permutation(self.names)[:2]
        there = np.isin(self.corpora, pair)
        emotion = self.rng.choice(np.unique(self.emotions[there]))
        chosen = [np.flatnonzero((self.corpora == corpus) & (self.emotions == emotion)) for corpus in pair]
        having = [rows for rows in chosen if len(rows)]
        positives = [self._some(rows, 2 * self.quota // len(having)) for rows in having]
        others = [np.flatnonzero((self.corpora == corpus) & (self.emotions != emotion)) for corpus in pair]
        negatives = [self._some(rows, self.quota) for rows in others]
        return PairBatch(emotion=str(emotion), positives=np.concatenate(positives), negatives=np.concatenate(negatives))

    def _some(self, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """As many of the rows, each once where there are enough."""
        return self.rng.choice(rows, count, replace=len(rows) < count)
