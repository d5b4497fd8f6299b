"""How hard it is for a backbone to predict masked frames along a clip: what ALPS clusters, without any label."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.features import extract, frame_batches
from aftertone_model.config import PretrainingConfig
from aftertone_model.data.clips import Clip
from aftertone_model.errors import BackboneError
from aftertone_model.pretraining.contrastive import KAPPA, codes_of, contrastive_loss
from aftertone_model.pretraining.frame_sources import Stretch
from aftertone_model.pretraining.masking import MIN_FRAMES, NEGATIVES, clip_generator, deal_spans, masks_at
from aftertone_model.pretraining.objective import run_masked
from aftertone_model.runtime import Runtime

QUANTILES = 32  # B, evenly spaced from the lowest to the highest loss of a frame
DEALS = 9  # times that every frame is masked; of speech by one synthesiser, distances under two seeds then agree
UNMEASURED = -1.0  # in every column of a clip too short to be masked; a loss is never negative


@torch.no_grad()
def masked_loss_profiles(
    backbone: Backbone, clips: Sequence[Clip], config: PretrainingConfig, runtime: Runtime
) -> NDArray[np.float32]:
    """(N, B) nats, ascending along each row: quantiles of the contrastive loss over each clip's frames.

    ALPS takes the loss at each of a text's positions. Clips differ in length and their positions don't correspond, so
    the carry-over to audio keeps how the loss is distributed and drops where; otherwise clusters would be those of the
    masks. For the same reason every frame is masked, by complementary masks (7 at 15 %), and the mean over two ways of
    dealing them is its loss: one mask of a few frames says more about itself than about the clip. Nor is chance in the
    negatives: each frame stands against frames spread evenly over its clip. A row depends on the backbone, the seed and
    the clip alone: masks are dealt by the clip's own generator, in eval mode, with argmax codes.

    Clips with fewer than 4 frames can't be masked; their row is `UNMEASURED` throughout. A row of zeros is measured:
    of a clip whose frames all have one code, so that there is nothing to tell apart.

    Args:
        backbone: the adapted one, where it is; is put in eval mode.
        config: of its pre-training, whose ratio and spans are taken here too.

    Raises:
        BackboneError: the backbone has no quantiser.

    Source: Yuan, Lin, Boyd-Graber, arXiv 2010.09535; the loss is AFTER eq. 1 (arXiv 2310.00283).
    """
    if backbone.family.objective != "contrastive":
        raise BackboneError(
            f"Strategy alps needs a quantiser, which a {backbone.config.model_type} model lacks. Set another strategy."
        )
    backbone.model.eval()
    cnn = extract(backbone, clips, runtime)
    long_enough = [row for row, clip in enumerate(clips) if len(runtime.pool.frames(cnn, clip)) >= MIN_FRAMES]
    usable = [clips[row] for row in long_enough]
    profiles = np.full((len(clips), QUANTILES), UNMEASURED, np.float32)
    for batch, frames, lengths in frame_batches(runtime, cnn, usable, "surprisal"):
        stretches = [Stretch(usable[row], 0, int(length)) for row, length in zip(batch, lengths, strict=True)]
        rngs = [clip_generator(runtime.seed, stretch.clip.id) for stretch in stretches]
        read = frames.to(runtime.device)
        deals = [_losses(backbone, stretches, read, lengths, config, rngs) for _ in range(DEALS)]
        for row, *losses in zip(batch, *deals, strict=True):
            profiles[long_enough[row]] = np.quantile(np.mean(losses, axis=0), np.linspace(0, 1, QUANTILES))
    return profiles


def _losses(
    backbone: Backbone,
    stretches: Sequence[Stretch],
    frames: Tensor,
    lengths: Tensor,
    config: PretrainingConfig,
    rngs: list[np.random.Generator],
) -> list[NDArray[np.float32]]:
    """The loss of each frame of each clip of a batch, under masks that each clip's generator deals."""
    model: Any = backbone.model
    dealt = [deal_spans(int(n), config.mask_ratio, config.mask_span, rng) for n, rng in zip(lengths, rngs, strict=True)]
    predicted = [torch.empty(int(n), backbone.model.config.proj_codevector_dim, device=frames.device) for n in lengths]
    for turn in range(max(map(len, dealt))):
        rows = [row for row, masks in enumerate(dealt) if turn < len(masks)]  # short clips have fewer masks
        masks = masks_at([dealt[row][turn] for row in rows], [rngs[row] for row in rows], negatives=1)
        masks = masks.to(frames.device)
        seen = run_masked(backbone, [stretches[row] for row in rows], frames[rows], lengths[rows], masks)
        for row, context in zip(rows, model.project_hid(seen.context), strict=True):  # (N, P)
            hidden = torch.from_numpy(dealt[row][turn]).to(frames.device)
            predicted[row][hidden] = context[: len(hidden)]
    found: list[NDArray[np.float32]] = []
    for said, clip in zip(predicted, frames, strict=True):
        codes = codes_of(backbone, clip[None, : len(said)])
        negatives = _spread(len(said)).to(frames.device)[None]
        loss = contrastive_loss(said[None], model.project_q(codes.vectors), codes.ids, negatives, kappa=KAPPA)
        found.append(loss[0].cpu().numpy())
    return found


def _spread(frames: int) -> Tensor:
    """(T, K) negatives of each of T frames: others at even distances, round the clip's end; some twice where T <= K."""
    distances = torch.linspace(1, frames - 1, NEGATIVES).round().long()  # (K,)
    return (torch.arange(frames)[:, None] + distances) % frames
