"""What the two stages minimise (the paper's equations 4 to 7)."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

UNKNOWN = -100  # cross_entropy's mark of a clip that lacks the attribute
BLANK = 0  # CTC's symbol for no character


def transcript_loss(logits: Tensor, lengths: Tensor, transcripts: Sequence[Tensor | None]) -> Tensor:
    """() CTC (equation 1) in nats per character, the mean over the clips that have a transcript; 0 where none has.

    Args:
        logits: (B, T, V), symbol 0 being CTC's blank.
        lengths: (B,) frames of each clip.
        transcripts: of each clip its characters (U,) from 1 to V - 1, U > 0; None leaves it out. One that has more
            characters than the clip has room for counts as 0 (`zero_infinity`).
    """
    rows = [row for row, transcript in enumerate(transcripts) if transcript is not None]
    if not rows:
        return logits.new_zeros((), dtype=torch.float32)
    known = [transcript for transcript in transcripts if transcript is not None]
    sizes = torch.tensor([len(transcript) for transcript in known], device=logits.device)
    losses = functional.ctc_loss(
        logits[rows].float().log_softmax(dim=-1).transpose(0, 1),  # (T, B, V)
        torch.cat(known).to(logits.device),
        lengths.to(logits.device)[rows],
        sizes,
        blank=BLANK,
        reduction="none",
        zero_infinity=True,
    )
    return (losses / sizes).mean()


def attribute_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """() cross-entropy (equation 2), the mean over the clips that have the attribute; 0 where none has.

    Args:
        logits: (B, V).
        targets: (B,) numbers of the values, or `UNKNOWN`.
    """
    total = functional.cross_entropy(logits.float(), targets, ignore_index=UNKNOWN, reduction="sum")
    return total / (targets != UNKNOWN).sum().clamp_min(1)


def contrast_norm(features: Sequence[Tensor]) -> Tensor:
    """() SCL_norm (equation 6): ‖xᵉ − xᵍ‖ + ‖xᵉ − xˢ‖ + ‖xᵍ − xˢ‖, the mean over the clips; 0 for one task.

    The paper prints each norm with a minus. To be minimised, that would drive the tasks' features apart without bound;
    a loss that "reduces intra-class feature distances", as the paper says of it, has them positive.

    Args:
        features: (B, n) of each task.
    """
    pairs = [torch.linalg.vector_norm(a - b, dim=-1) for a, b in itertools.combinations(features, 2)]
    return torch.stack(pairs).sum(dim=0).mean() if pairs else features[0].new_zeros(())


def contrast_cosine(features: Sequence[Tensor]) -> Tensor:
    """() SCL_cos (equation 7): −cos(xᵉ, xᵍ) − cos(xᵉ, xˢ) − cos(xᵍ, xˢ), the mean over the clips; 0 for one task.

    The paper prints a difference inside each cosine, which takes two vectors; the minus before it is right.

    Args:
        features: (B, n) of each task.
    """
    pairs = [-functional.cosine_similarity(a, b, dim=-1) for a, b in itertools.combinations(features, 2)]
    return torch.stack(pairs).sum(dim=0).mean() if pairs else features[0].new_zeros(())


def weighted(emotion: Tensor, others: Sequence[tuple[float, Tensor]]) -> Tensor:
    """() (1 − Σ w) · emotion + Σ w · other (equation 4 with α, equation 5 with β for each attribute)."""
    total = (1 - sum(weight for weight, _ in others)) * emotion
    for weight, loss in others:
        total = total + weight * loss
    return total
