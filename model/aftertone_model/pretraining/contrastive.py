"""wav2vec 2.0's own objective with AFTER's second term, at the masked frames only: tell each masked frame's code from
those of its utterance.

Similarities are one (N x P)·(P x N) product per utterance, and negatives are looked up in it; no tensor of frames x
codebook x dimension or frames x negatives x dimension is ever made.

Sources: AFTER (arXiv 2310.00283) eq. 1 and 2; wav2vec 2.0 (arXiv 2006.11477) eq. 1, 3 and 4.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2GumbelVectorQuantizer

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.config import PretrainingConfig
from aftertone_model.data.clips import Clip
from aftertone_model.pretraining.codebook import fit_codebooks
from aftertone_model.pretraining.frame_sources import FrameSource
from aftertone_model.pretraining.objective import WARM_UP, MaskedBatch, Objective, Term
from aftertone_model.runtime import Runtime

KAPPA = 0.1  # temperature of the contrastive softmax, AFTER eq. 1


@dataclass(frozen=True, kw_only=True)
class Codes:
    """The quantiser's choice at each masked frame."""

    vectors: Tensor  # (B, N, V) float32, code vectors of all groups side by side; differentiable in train mode
    ids: Tensor  # (B, N, G) int64, the entry chosen in each of the G codebooks
    soft: Tensor  # (B, N, G, E) float32, in train mode the softmax without noise, in eval mode the one-hot choice


class Contrastive(Objective):
    """AFTER eq. 3: contrastive plus reconstruction loss, here with wav2vec 2.0's diversity term, without which the
    quantiser may shrink to a few codes."""

    judge: ClassVar = "contrastive"

    def __init__(self, backbone: Backbone, config: PretrainingConfig) -> None:
        """
        Args:
            backbone: the one in training, a wav2vec 2.0 with its quantiser.
        """
        super().__init__()
        self._backbone = [backbone]  # in a list, so that its weights don't count as this module's
        self._config = config
        self.fresh = backbone.random_codes and not config.train_cnn
        # Whose codes judge; in a list as above. Where the CNN learns too, the start's would no longer fit its frames.
        parts = backbone.body.feature_projection.layer_norm, _quantizer(backbone)
        self._start = [] if config.train_cnn else [copy.deepcopy(nn.ModuleList(parts)).eval()]
        self._warming = False
        quantizer = _quantizer(backbone)
        self._codebooks = quantizer.num_groups, quantizer.num_vars  # G, E
        self.head = nn.Linear(backbone.config.hidden_size, self._codebooks[0] * self._codebooks[1])

    def settle(self, examples: Sequence[Clip], source: FrameSource, runtime: Runtime) -> None:
        """Fit a freshly drawn quantiser to the frames."""
        (backbone,) = self._backbone
        if backbone.random_codes:
            stretches = source.whole(examples)
            with torch.no_grad():
                read = [source.read([stretch], runtime.device)[0][0] for stretch in stretches]  # each (T, C)
                latents = backbone.body.feature_projection.layer_norm(torch.cat(read).float())  # (M, C)
            fit_codebooks(_quantizer(backbone), latents, np.random.default_rng([runtime.seed, 3]))
            for start in self._start:
                start[1].load_state_dict(_quantizer(backbone).state_dict())

    def anneal(self, done: float) -> None:
        """Cool the codes' Gumbel softmax; at first let new heads learn alone, or their noise would reach the body."""
        config = self._config
        self._warming = done < WARM_UP and not config.train_cnn
        cooling = config.cold_temperature / config.warm_temperature
        _quantizer(self._backbone[0]).temperature = config.warm_temperature * cooling**done

    def forward(self, batch: MaskedBatch) -> dict[str, Term]:
        """In eval mode the starting point's quantiser says which negatives count. The one in training could lower the
        loss by choosing fewer codes, as negatives with the positive's own code are left out; so judged, two frames that
        it can no longer tell apart cost as much as any mistake."""
        apart = None
        if not self.training and self._start:
            norm, quantizer = self._start[0]
            rows = torch.arange(len(batch.frames), device=batch.frames.device)[:, None]
            apart = quantise(quantizer, norm(batch.frames[rows, batch.masks.positions].float())).ids  # pyright: ignore[reportArgumentType]
        alone = self._warming and self.training
        own = replace(batch, context=batch.context.detach()) if alone else batch
        losses, codes = compare(self._backbone[0], own if self.fresh else batch, apart, frozen=alone and self.fresh)
        valid, frames = batch.masks.valid, int(batch.masks.valid.sum())
        logits = self.head(own.context).unflatten(-1, self._codebooks)  # (B, N, G, E)
        rebuilt = masked_mean(reconstruction_loss(logits, codes.ids), valid)
        diverse = diversity_loss(codes.soft, valid)
        return {
            "contrastive": Term(masked_mean(losses, valid), size=frames),
            "reconstruction": Term(rebuilt, size=frames),
            "diversity": Term(diverse, size=frames, weight=self._config.diversity_weight),
        }

    def usage(self, batch: MaskedBatch) -> Tensor:
        """How often each code (G, E) is chosen, at every frame: the masked alone are too few to tell."""
        (backbone,) = self._backbone
        codes = quantise(_quantizer(backbone), backbone.body.feature_projection.layer_norm(batch.frames.float()))
        heard = torch.arange(batch.frames.shape[1]) < batch.lengths[:, None]  # (B, T)
        return codes.soft[heard.to(codes.soft.device)].sum(0)


def _quantizer(backbone: Backbone) -> Wav2Vec2GumbelVectorQuantizer:
    model: Any = backbone.model
    return model.quantizer


def compare(
    backbone: Backbone, batch: MaskedBatch, apart: Tensor | None = None, *, frozen: bool = False
) -> tuple[Tensor, Codes]:
    """The contrastive loss (B, N) in nats of each masked frame, 0 where not valid, and the frames' codes.

    In train mode codes are drawn by Gumbel softmax at the quantiser's temperature, with straight-through gradients; in
    eval mode they are the argmax, so that the outcome is a function of its arguments.

    Args:
        apart: (B, N, G) codes by which a negative is told from the positive; the frames' own by default.
        frozen: no gradient reaches the body by way of the codes.
    """
    model: Any = backbone.model
    rows = torch.arange(len(batch.frames), device=batch.frames.device)[:, None]
    codes = codes_of(backbone, batch.frames[rows, batch.masks.positions], frozen=frozen)
    predicted, targets = model.project_hid(batch.context), model.project_q(codes.vectors)  # (B, N, P)
    loss = contrastive_loss(
        predicted, targets, codes.ids if apart is None else apart, batch.masks.negatives, kappa=KAPPA
    )
    return loss.where(batch.masks.valid, 0.0), codes


def codes_of(backbone: Backbone, frames: Tensor, *, frozen: bool = False) -> Codes:
    """The quantiser's choice at CNN frames (B, N, C); `frozen`: no gradient reaches the body."""
    model: Any = backbone.model
    latents = backbone.body.feature_projection.layer_norm(frames.float())
    return quantise(model.quantizer, model.dropout_features(latents.detach() if frozen else latents))


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
