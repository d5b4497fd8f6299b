"""How a backbone is surprised along a clip: what ALPS clusters, and what needs neither labels nor a classifier."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import Wav2Vec2ForPreTraining

from aftertone_model.backbones.backbone import fingerprint
from aftertone_model.data.batches import length_batches, pad
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.pretraining.contrastive import MIN_FRAMES, clip_generator, draw_masks, surprisal
from aftertone_model.progress import Progress, silent

QUANTILES = 32  # B, evenly spaced from the least to the most surprising masked frame
MASK_RATIO = 0.15  # of a clip's frames: ALPS, and the share that TAPT masks
MASK_SPAN = 10  # frames per masked span, as in TAPT
BATCH_SECONDS = 120.0  # of audio at once, as in scoring


def masked_loss_profiles(
    backbone: Wav2Vec2ForPreTraining,
    pool: Pool,
    clips: Sequence[Clip],
    *,
    seed: int,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """(N, B) nats, ascending along each row: quantiles of the contrastive loss at each clip's masked frames.

    ALPS takes the loss at each of a text's positions. Clips differ in length and their positions don't correspond, so
    the carry-over to audio keeps how the loss is distributed and drops where; otherwise clusters would be those of the
    masks. A row depends on the backbone, the seed and the clip alone: masks and negatives are drawn from the clip's own
    generator, in eval mode, with argmax codes. Clips with fewer than 4 frames can't be masked; their row is zero.

    Args:
        backbone: the adapted one, where it is; is put in eval mode.
        pool: has the frames of all clips (`Pool.extract`).
        seed: of masks and negatives.

    Source: Yuan, Lin, Boyd-Graber, arXiv 2010.09535; the loss is AFTER eq. 1 (arXiv 2310.00283).
    """
    backbone.eval()
    cnn, device = fingerprint(backbone), backbone.device
    grid = np.linspace(0, 1, QUANTILES)
    profiles = np.zeros((len(clips), QUANTILES), np.float32)
    done, reported = 0, time.monotonic()
    for batch in length_batches([clip.seconds for clip in clips], BATCH_SECONDS):
        rows = [int(row) for row in batch if len(pool.frames(cnn, clips[row].id)) >= MIN_FRAMES]
        if rows:
            frames, lengths = pad([pool.frames(cnn, clips[row].id) for row in rows])
            rngs = [clip_generator(seed, clips[row].id) for row in rows]
            masks = draw_masks(lengths, rngs, ratio=MASK_RATIO, span=MASK_SPAN)
            losses = surprisal(backbone, frames.to(device), lengths, masks.to(device)).cpu().numpy()  # (B, N)
            for row, loss, valid in zip(rows, losses, masks.valid.numpy(), strict=True):
                profiles[row] = np.quantile(loss[valid], grid)
        done += len(batch)
        if time.monotonic() - reported > 0.5:
            progress("surprisal", done, len(clips))
            reported = time.monotonic()
    progress("surprisal", len(clips), len(clips))
    return profiles
