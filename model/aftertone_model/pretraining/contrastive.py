"""wav2vec 2.0's own objective, at the masked frames only: tell each masked frame's code from those of its utterance.

Everything here is laid out as (B, N): B utterances, N the largest number of masked frames among them, `valid` False
where an utterance has fewer. Similarities are one (N x P)·(P x N) product per utterance, and negatives are looked up in
it; no tensor of frames x codebook x dimension or frames x negatives x dimension is ever made.

Sources: AFTER (arXiv 2310.00283) eq. 1 and 2; wav2vec 2.0 (arXiv 2006.11477) eq. 1, 3 and 4.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import Wav2Vec2ForPreTraining
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2GumbelVectorQuantizer

from aftertone_model.backbones.backbone import contextualise
from aftertone_model.backbones.precision import transformer_in_bf16

KAPPA = 0.1  # temperature of the contrastive softmax, AFTER eq. 1
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

    def to(self, device: torch.device) -> "Masks":
        move = {"device": device, "non_blocking": True}
        return Masks(
            positions=self.positions.to(**move), valid=self.valid.to(**move), negatives=self.negatives.to(**move)
        )


@dataclass(frozen=True, kw_only=True)
class Codes:
    """The quantiser's choice at each masked frame."""

    vectors: Tensor  # (B, N, V) float32, code vectors of all groups side by side; differentiable in train mode
    ids: Tensor  # (B, N, G) int64, the entry chosen in each of the G codebooks
    soft: Tensor  # (B, N, G, E) float32, in train mode the softmax without noise, in eval mode the one-hot choice


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the model makes of a masked batch."""

    contrastive: Tensor  # (B, N) float32, loss in nats of each masked frame; 0 where not valid
    codes: Codes
    hidden: Tensor  # (B, T, D) float32, transformer output
    context: Tensor  # (B, N, D) the same at the masked frames


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


def clip_generator(seed: int, clip_id: str) -> np.random.Generator:
    """A generator for one clip, so that what is drawn for it depends on neither its batch mates nor its place."""
    return np.random.default_rng([seed, *clip_id.encode()])


def draw_masks(
    lengths: Tensor, rngs: list[np.random.Generator], *, ratio: float, span: int, negatives: int = NEGATIVES
) -> Masks:
    """Masked spans and negatives of a batch.

    Args:
        lengths: (B,) frames of each utterance, each at least `MIN_FRAMES`.
        rngs: a generator per utterance. Give each its own seed where the draw must not depend on batch mates.
        ratio, span: as in `draw_spans`.
        negatives: K, drawn with replacement from the other masked frames.
    """
    masked = [draw_spans(int(t), ratio, span, rng) for t, rng in zip(lengths, rngs, strict=True)]
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


def masked_forward(backbone: Wav2Vec2ForPreTraining, frames: Tensor, lengths: Tensor, masks: Masks) -> Outcome:
    """Mask a batch, predict the codes of what is masked, and compare.

    In train mode codes are drawn by Gumbel softmax at the quantiser's temperature, with straight-through gradients; in
    eval mode they are the argmax, so that the outcome is a function of its arguments.

    Args:
        frames: (B, T, C) cached CNN frames.
        lengths: (B,) frames of each utterance, on the CPU.
        masks: on the device of `frames`.
    """
    with torch.autocast(frames.device.type, torch.bfloat16, enabled=_in_bf16(backbone, frames.device)):
        hidden = contextualise(backbone.wav2vec2, frames, lengths, masked=masks.spread(frames.shape[1]))  # (B, T, D)
    rows = torch.arange(len(frames), device=frames.device)[:, None]
    hidden = hidden.float()
    context = hidden[rows, masks.positions]  # (B, N, D)
    latents = backbone.wav2vec2.feature_projection.layer_norm(frames[rows, masks.positions].float())  # (B, N, C)
    codes = quantise(backbone.quantizer, backbone.dropout_features(latents))
    predicted = backbone.project_hid(context)  # (B, N, P)
    targets = backbone.project_q(codes.vectors)  # (B, N, P)
    loss = contrastive_loss(predicted, targets, codes.ids, masks.negatives, kappa=KAPPA)
    return Outcome(contrastive=loss.where(masks.valid, 0.0), codes=codes, hidden=hidden, context=context)


def _in_bf16(backbone: Wav2Vec2ForPreTraining, device: torch.device) -> bool:
    """In training where that is faster; always on a GPU, whose sums differ from batch to batch anyway."""
    return transformer_in_bf16(backbone.config, device) and (backbone.training or device.type == "cuda")


def quantise(quantizer: Wav2Vec2GumbelVectorQuantizer, latents: Tensor) -> Codes:
    """Map latents (B, N, C) to code vectors: wav2vec 2.0 eq. 1, one choice in each of G codebooks of E entries."""
    groups, entries = quantizer.num_groups, quantizer.num_vars
    logits = quantizer.weight_proj(latents).float()  # (B, N, G * E)
    logits = logits.view(*latents.shape[:-1], groups, entries)  # (B, N, G, E)
    codebooks = quantizer.codevectors.view(groups, entries, -1)  # (G, E, V / G)
    if quantizer.training:
        choice = functional.gumbel_softmax(logits.flatten(0, 2), tau=quantizer.temperature, hard=True).view_as(logits)
        soft = logits.softmax(-1)
        ids = choice.argmax(-1)  # (B, N, G)
        vectors = torch.einsum("bnge,gev->bngv", choice, codebooks)  # one product per group, straight-through
    else:
        ids = logits.argmax(-1)
        soft = functional.one_hot(ids, entries).float()
        vectors = codebooks[torch.arange(groups, device=ids.device), ids]  # (B, N, G, V / G)
    return Codes(vectors=vectors.flatten(-2), ids=ids, soft=soft)


def contrastive_loss(predicted: Tensor, targets: Tensor, ids: Tensor, negatives: Tensor, *, kappa: float) -> Tensor:
    """AFTER eq. 1 (wav2vec 2.0 eq. 3) for each masked frame, in nats: (B, N).

    A negative with the very code of the positive is none and is left out. float32: bfloat16 has 3 digits, too few for
    cosines divided by 0.1.

    Args:
        predicted: (B, N, P) projected transformer outputs.
        targets: (B, N, P) projected code vectors.
        ids: (B, N, G) of the codes.
        negatives: (B, N, K) as in `Masks`.
        kappa: temperature.
    """
    predicted, targets = (functional.normalize(x.float(), dim=-1) for x in (predicted, targets))
    similar = predicted @ targets.transpose(1, 2) / kappa  # (B, N, N): every masked frame with every code of its clip
    same_code = (ids[:, :, None] == ids[:, None]).all(-1)  # (B, N, N)
    against = similar.masked_fill(same_code, -torch.inf).gather(2, negatives)  # (B, N, K)
    positive = similar.diagonal(dim1=1, dim2=2)[..., None]  # (B, N, 1)
    return torch.cat([positive, against], dim=-1).logsumexp(-1) - positive[..., 0]  # (B, N)


def diversity_loss(soft: Tensor, valid: Tensor) -> Tensor:
    """wav2vec 2.0 eq. 4 in the form of its code, (G·E - perplexity) / (G·E), from 0 (all entries used) to 1.

    Args:
        soft: (B, N, G, E) as in `Codes`.
        valid: (B, N).
    """
    total = soft.shape[-2] * soft.shape[-1]
    return (total - perplexity((soft * valid[..., None, None]).sum((0, 1)))) / total


def perplexity(usage: Tensor) -> Tensor:
    """Code perplexity, summed over the codebooks: from G (one entry each) to G·E (all alike).

    Args:
        usage: (G, E) how often, or with what total probability, each entry was chosen.
    """
    share = usage.float() / usage.sum(-1, keepdim=True).clamp_min(1e-9)  # (G, E)
    floor = torch.finfo(share.dtype).tiny  # the gradient of 0 log 0 is not a number
    return torch.exp(-(share * share.clamp_min(floor).log()).sum(-1)).sum()


def reconstruction_loss(logits: Tensor, ids: Tensor) -> Tensor:
    """AFTER eq. 2 for each masked frame, in nats: (B, N).

    The cross-entropy of the predicted code word against the quantiser's own. A code word is one entry in each of G
    codebooks, predicted independently, so its log-probability is the sum over codebooks.

    Args:
        logits: (B, N, G, E).
        ids: (B, N, G); no gradient reaches the quantiser, which could else make its codes easy by making them few.
    """
    return functional.cross_entropy(logits.float().movedim(-1, 1), ids, reduction="none").sum(-1)


def masked_mean(losses: Tensor, valid: Tensor) -> Tensor:
    """Mean of (B, N) over the valid masked frames."""
    return (losses * valid).sum() / valid.sum()


@torch.no_grad()
def surprisal(backbone: Wav2Vec2ForPreTraining, frames: Tensor, lengths: Tensor, masks: Masks) -> Tensor:
    """How badly the model predicts each masked frame: what ALPS (arXiv 2010.09535) needs, for audio.

    `masked_forward` in eval mode: argmax codes, no dropout, negatives from the same utterance. An utterance's values
    depend on its own frames, its masks and the weights alone.

    Returns:
        (B, N) float32 nats, from 0; about log(K + 1) where the model guesses; 0 where not valid.
    """
    if backbone.training:
        raise ValueError("surprisal needs the backbone in eval mode")
    return masked_forward(backbone, frames, lengths, masks).contrastive
