"""How hard it is for a backbone to predict masked frames along a clip: what ALPS clusters, without any label."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.features import extract
from aftertone_model.config import PretrainingConfig
from aftertone_model.data.batches import frame_batches
from aftertone_model.data.clips import Clip
from aftertone_model.errors import BackboneError
from aftertone_model.pretraining.contrastive import compare
from aftertone_model.pretraining.frame_sources import Stretch
from aftertone_model.pretraining.masking import MIN_FRAMES, clip_generator, draw_masks
from aftertone_model.pretraining.objective import run_masked
from aftertone_model.runtime import Runtime

QUANTILES = 32  # B, evenly spaced from the lowest to the highest loss of a masked frame


@torch.no_grad()
def masked_loss_profiles(
    backbone: Backbone, clips: Sequence[Clip], config: PretrainingConfig, runtime: Runtime
) -> NDArray[np.float32]:
    """(N, B) nats, ascending along each row: quantiles of the contrastive loss at each clip's masked frames.

    ALPS takes the loss at each of a text's positions. Clips differ in length and their positions don't correspond, so
    the carry-over to audio keeps how the loss is distributed and drops where; otherwise clusters would be those of the
    masks. A row depends on the backbone, the seed and the clip alone: masks and negatives are drawn from the clip's own
    generator, in eval mode, with argmax codes. Clips with fewer than 4 frames can't be masked; their row is zero.

    Args:
        backbone: the adapted one, where it is; is put in eval mode.
        config: of its pre-training, whose masks are drawn here too.

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
    grid = np.linspace(0, 1, QUANTILES)
    profiles = np.zeros((len(clips), QUANTILES), np.float32)
    for batch, frames, lengths in frame_batches(runtime.pool, cnn, usable, "surprisal", runtime.progress):
        rngs = [clip_generator(runtime.seed, usable[row].id) for row in batch]
        masks = draw_masks(lengths, rngs, ratio=config.mask_ratio, span=config.mask_span)
        stretches = [Stretch(usable[row], 0, int(length)) for row, length in zip(batch, lengths, strict=True)]
        seen = run_masked(backbone, stretches, frames.to(runtime.device), lengths, masks.to(runtime.device))
        losses = compare(backbone, seen)[0].cpu().numpy()  # (B, N)
        for row, loss, valid in zip(batch, losses, masks.valid.numpy(), strict=True):
            profiles[long_enough[row]] = np.quantile(loss[valid], grid)
    return profiles
