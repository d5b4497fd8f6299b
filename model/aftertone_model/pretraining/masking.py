"""Which frames of a batch pre-training hides, and which of them stand against which.

Laid out as (B, N): B utterances, N the largest number of masked frames among them, `valid` False where an utterance has
fewer.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NEGATIVES = 100  # distractors per masked frame, wav2vec 2.0 §4.2
MIN_FRAMES = 4  # of an utterance: two to mask, so that each has a negative, and two to see


@dataclass(frozen=True, kw_only=True)
class Masks:
    """Which frames of a batch are masked, and which of them stand against which."""

    positions: Tensor  # (B, N) int64, frame numbers of the masked frames, ascending; 0 where not valid
    valid: Tensor  # (B, N) bool
    negatives: Tensor  # (B, N, K) int64 into the N masked frames of the same utterance, never the frame itself

    def spread(self, time: int) -> Tensor:
        """(B, time) bool: True at the masked frames."""
        spread = torch.zeros(len(self.positions), time, dtype=torch.int64, device=self.positions.device)
        return spread.scatter_add_(1, self.positions, self.valid.long()).bool()

    def of(self, rows: NDArray[np.int64]) -> "Masks":
        """Those of some utterances of the batch."""
        chosen = torch.from_numpy(rows)
        most = int(self.valid[chosen].sum(-1).max())
        return Masks(
            positions=self.positions[chosen, :most],
            valid=self.valid[chosen, :most],
            negatives=self.negatives[chosen, :most],
        )

    def to(self, device: torch.device) -> "Masks":
        """The same on another device."""
        move = {"device": device, "non_blocking": True}
        return Masks(
            positions=self.positions.to(**move), valid=self.valid.to(**move), negatives=self.negatives.to(**move)
        )


def draw_spans(frames: int, ratio: float, span: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose masked frames in spans that may touch but never overlap, all placements equally likely.

    Exactly round(ratio * frames) frames are masked, at least two and all but two at most; wav2vec 2.0's spans overlap,
    so that its ratio is only an upper bound.

    Args:
        frames: of the utterance, at least `MIN_FRAMES`.
        ratio: share of frames to mask, in (0, 1).
        span: frames per span, at most; spans are of equal length give or take one.

    Returns:
        Ascending frame numbers.
    """
    count = min(max(round(ratio * frames), 2), frames - 2)
    spans = -(-count // span)
    sizes = np.full(spans, count // spans)
    sizes[: count % spans] += 1
    rng.shuffle(sizes)
    before = np.sort(rng.choice(frames - count + spans, spans, replace=False)) - np.arange(spans)  # unmasked frames
    starts = before + np.cumsum(sizes) - sizes
    return np.concatenate([np.arange(start, start + size) for start, size in zip(starts, sizes, strict=True)])


def deal_spans(frames: int, ratio: float, span: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Cut an utterance into spans and deal them to complementary masks: each frame is masked in exactly one.

    There are about 1 / ratio masks, 7 at 15 %, and fewer where each would get less than two frames.

    Args:
        frames: of the utterance, at least `MIN_FRAMES`.
        ratio: share of frames that one mask hides, in (0, 1).
        span: frames per span, at most; spans are of equal length give or take one, and may touch.

    Returns:
        Ascending frame numbers of each mask; their numbers differ by about a span.
    """
    masks = max(2, min(round(1 / ratio), frames // 2))
    spans = max(-(-frames // span), masks)
    sizes = np.full(spans, frames // spans)
    sizes[: frames % spans] += 1
    rng.shuffle(sizes)
    starts = np.cumsum(sizes) - sizes
    hands: list[list[NDArray[np.int64]]] = [[] for _ in range(masks)]
    held = np.zeros(masks, np.int64)
    shuffled = rng.permutation(spans)
    for place in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:  # the longer ones first, so that hands even out
        hand = int(held.argmin())
        hands[hand].append(np.arange(starts[place], starts[place] + sizes[place]))
        held[hand] += sizes[place]
    return [np.sort(np.concatenate(hand)) for hand in hands]


def clip_generator(seed: int, clip_id: str) -> np.random.Generator:
    """A generator for one clip, so that what is drawn for it depends on nothing else in the batch."""
    return np.random.default_rng([seed, *clip_id.encode()])


def draw_masks(
    lengths: Tensor, rngs: list[np.random.Generator], *, ratio: float, span: int, negatives: int = NEGATIVES
) -> Masks:
    """Masked spans and negatives of a batch.

    Args:
        lengths: (B,) frames of each utterance, each at least `MIN_FRAMES`.
        rngs: a generator per utterance. Give each its own seed where the draw must not depend on the rest of the batch.
        ratio, span: as in `draw_spans`.
        negatives: K, drawn with replacement from the other masked frames.
    """
    return masks_at(
        [draw_spans(int(t), ratio, span, rng) for t, rng in zip(lengths, rngs, strict=True)], rngs, negatives
    )


def masks_at(masked: list[NDArray[np.int64]], rngs: list[np.random.Generator], negatives: int = NEGATIVES) -> Masks:
    """Masks of a batch at given frames, with negatives drawn from the other masked frames of the same utterance.

    Args:
        masked: for each utterance the ascending numbers of its masked frames, two or more.
        rngs: a generator per utterance.
    """
    shape = len(masked), max(map(len, masked))
    positions, valid = np.zeros(shape, np.int64), np.zeros(shape, bool)
    against = np.zeros((*shape, negatives), np.int64)
    for row, (frames, rng) in enumerate(zip(masked, rngs, strict=True)):
        n = len(frames)
        positions[row, :n], valid[row, :n] = frames, True
        drawn = rng.integers(0, n - 1, (n, negatives))
        against[row, :n] = drawn + (drawn >= np.arange(n)[:, None])  # skips the frame itself, stays uniform
    return Masks(
        positions=torch.from_numpy(positions), valid=torch.from_numpy(valid), negatives=torch.from_numpy(against)
    )
