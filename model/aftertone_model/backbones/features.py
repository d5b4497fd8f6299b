"""What a backbone makes of each clip without any label: cached CNN frames, one by one, in batches and as means."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aftertone_model.backbones.encoder import Encoder
from aftertone_model.data.batches import length_batches, pad, scoring_seconds
from aftertone_model.data.clips import Clip
from aftertone_model.data.side_by_side import side_by_side
from aftertone_model.runtime import Runtime


def extract(encoder: Encoder, clips: Sequence[Clip], runtime: Runtime) -> str:
    """Compute the CNN frames of those clips that the pool has none of yet; returns their name in the pool."""
    name = encoder.fingerprint
    with side_by_side(encoder.device) as apply:
        runtime.pool.keep(name, partial(encoder.encode, cnn=encoder.cnn()), clips, runtime.progress, apply)
    return name


def cnn_means(encoder: Encoder, clips: Sequence[Clip], runtime: Runtime) -> NDArray[np.float32]:
    """(N, C) mean CNN frame of each clip: what AFTER clusters (arXiv 2310.00283 §3.2)."""
    name = extract(encoder, clips, runtime)
    means = np.empty((len(clips), encoder.config.conv_dim[-1]), np.float32)
    for row, clip in enumerate(clips):
        means[row] = runtime.pool.frames(name, clip).mean(axis=0, dtype=np.float32)
        runtime.progress("represent", row + 1, len(clips))
    return means


def frame_batches(
    runtime: Runtime, features: str, clips: Sequence[Clip], stage: str
) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
    """Run through clips in batches of similar length: rows into `clips`, padded frames (B, T, C) float16, lengths (B,).

    Args:
        features: the name under which the pool has the clips' frames.
        stage: under which progress is reported.
    """
    done = 0
    for rows in length_batches([clip.seconds for clip in clips], scoring_seconds(runtime.device)):
        yield rows, *pad([runtime.pool.frames(features, clips[int(row)]) for row in rows])
        done += len(rows)
        runtime.progress(stage, done, len(clips))
