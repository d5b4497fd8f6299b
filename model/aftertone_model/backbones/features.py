"""What a backbone makes of each clip without any label: cached CNN frames, and their means for the seed set."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aftertone_model.backbones.encoder import Encoder
from aftertone_model.data.clips import Clip
from aftertone_model.runtime import Runtime


def extract(encoder: Encoder, clips: Sequence[Clip], runtime: Runtime) -> str:
    """Compute the CNN frames of those clips that the pool has none of yet; returns their name in the pool."""
    name = encoder.fingerprint
    runtime.pool.keep(name, encoder.encode, clips, runtime.progress)
    return name


def cnn_means(encoder: Encoder, clips: Sequence[Clip], runtime: Runtime) -> NDArray[np.float32]:
    """(N, C) mean CNN frame of each clip: what AFTER clusters (arXiv 2310.00283 §3.2)."""
    name = extract(encoder, clips, runtime)
    means = np.empty((len(clips), encoder.config.conv_dim[-1]), np.float32)
    for row, clip in enumerate(clips):
        means[row] = runtime.pool.frames(name, clip).mean(axis=0, dtype=np.float32)
        runtime.progress("represent", row + 1, len(clips))
    return means
