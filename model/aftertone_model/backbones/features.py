"""One vector per clip without any label: what the seed set is clustered on."""

import time
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Wav2Vec2ForPreTraining

from aftertone_model.backbones.backbone import contextualise, fingerprint
from aftertone_model.data.batches import length_batches, pad
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.progress import Progress, silent

BATCH_SECONDS = 120.0  # of audio at once, as in scoring


def cnn_means(
    backbone: Wav2Vec2ForPreTraining, pool: Pool, clips: Sequence[Clip], *, progress: Progress = silent
) -> NDArray[np.float32]:
    """(N, C) mean CNN frame of each clip, whose frames the pool has: AFTER's choice (arXiv 2310.00283 §3.2)."""
    cnn = fingerprint(backbone)
    means = np.empty((len(clips), backbone.config.conv_dim[-1]), np.float32)
    reported = time.monotonic()
    for row, clip in enumerate(clips):
        means[row] = pool.frames(cnn, clip.id).mean(axis=0, dtype=np.float32)
        if time.monotonic() - reported > 0.5:
            progress("represent", row, len(clips))
            reported = time.monotonic()
    return means


@torch.no_grad()
def hidden_means(
    backbone: Wav2Vec2ForPreTraining, pool: Pool, clips: Sequence[Clip], *, progress: Progress = silent
) -> NDArray[np.float32]:
    """(N, D) mean output of the (adapted) transformer over each clip, whose frames the pool has.

    Rows don't depend on batch mates (to 1e-4) nor on the order of the clips.
    """
    backbone.eval()
    cnn, device = fingerprint(backbone), backbone.device
    means = np.empty((len(clips), backbone.config.hidden_size), np.float32)
    done, reported = 0, time.monotonic()
    for rows in length_batches([clip.seconds for clip in clips], BATCH_SECONDS):
        frames, lengths = pad([pool.frames(cnn, clips[row].id) for row in rows])
        hidden = contextualise(backbone.wav2vec2, frames.to(device), lengths)  # (B, T, D)
        heard = (torch.arange(frames.shape[1]) < lengths[:, None]).to(device)  # (B, T)
        sums = (hidden * heard[..., None]).sum(dim=1)  # (B, D)
        means[rows] = (sums.cpu() / lengths[:, None]).numpy()
        done += len(rows)
        if time.monotonic() - reported > 0.5:
            progress("represent", done, len(clips))
            reported = time.monotonic()
    return means


def without_speaker_means(representations: NDArray[np.floating], speakers: Sequence[str | None]) -> NDArray[np.float32]:
    """(N, D) less the mean over the clips of the same speaker, so that clusters are not speakers.

    Clips of unknown speakers are taken as one speaker's. The overall mean is added back.
    """
    centred = np.array(representations, dtype=np.float32)
    overall = centred.mean(axis=0)
    rows_of: dict[str | None, list[int]] = defaultdict(list)
    for row, speaker in enumerate(speakers):
        rows_of[speaker].append(row)
    for rows in rows_of.values():
        centred[rows] += overall - centred[rows].mean(axis=0)
    return centred
