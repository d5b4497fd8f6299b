"""A classifier's view of many clips: logits and embeddings, each computed once."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor
from transformers import Wav2Vec2ForSequenceClassification

from aftertone_model.backbones.backbone import fingerprint
from aftertone_model.classification.classifier import class_names, clip_features, embed
from aftertone_model.classification.layer_cache import BLOCK, LayerCache
from aftertone_model.data.batches import length_batches, pad
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.progress import Progress, silent

BATCH_SECONDS = 120.0  # of audio at once: enough to fill a CPU or GPU, about 2 GB at wav2vec 2.0 large


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a classifier makes of N clips, rows in the order in which they were given."""

    logits: NDArray[np.float32]  # (N, C)
    embeddings: NDArray[np.float32]  # (N, D), the input of the last linear layer

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(N, C), rows summing to 1."""
        return softmax(self.logits.astype(np.float64), axis=1)


@torch.no_grad()
def score(
    classifier: Wav2Vec2ForSequenceClassification,
    pool: Pool,
    clips: Sequence[Clip],
    *,
    cache: LayerCache | None = None,
    progress: Progress = silent,
    stage: str = "score",
) -> Scores:
    """Run the classifier, where it is and in eval mode, on clips whose frames the pool has.

    A clip's scores are the same to 1e-4 whatever else is in its batch. That is why they are computed in float32 also on
    a GPU: bf16 can't hold it.

    Args:
        cache: the layer means of the backbone, for a classifier that only probes it; what they lack is added.
    """
    config = classifier.config
    logits = np.empty((len(clips), len(class_names(classifier))), np.float32)
    embeddings = np.empty((len(clips), config.classifier_proj_size), np.float32)
    for rows, features in _in_batches(classifier, pool, clips, cache, progress, stage):
        embedded = embed(classifier, features)  # (B, D)
        embeddings[rows] = embedded.cpu().numpy()
        logits[rows] = classifier.classifier(embedded).cpu().numpy()
    return Scores(logits=logits, embeddings=embeddings)


@torch.no_grad()
def extract_features(
    classifier: Wav2Vec2ForSequenceClassification,
    pool: Pool,
    clips: Sequence[Clip],
    *,
    cache: LayerCache | None = None,
    progress: Progress = silent,
    stage: str = "score",
) -> Tensor:
    """The (N, L, D) `clip_features` of N > 0 clips, on the classifier's device; what a probe trains on."""
    found = list(_in_batches(classifier, pool, clips, cache, progress, stage))
    order = np.argsort(np.concatenate([rows for rows, _ in found]))
    return torch.cat([features for _, features in found])[torch.from_numpy(order)]


def _in_batches(
    classifier: Wav2Vec2ForSequenceClassification,
    pool: Pool,
    clips: Sequence[Clip],
    cache: LayerCache | None,
    progress: Progress,
    stage: str,
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Row numbers and their features (B, L, D), every row once."""
    if cache is None or not classifier.config.use_weighted_layer_sum:
        yield from _run(classifier, pool, clips, progress, stage)
        return
    missing = [clip for clip in clips if clip.id not in cache]
    waiting: list[tuple[list[str], NDArray[np.float32]]] = []
    for rows, features in _run(classifier, pool, missing, progress, stage):
        waiting.append(([missing[row].id for row in rows], features.cpu().numpy()))
        if sum(len(ids) for ids, _ in waiting) >= BLOCK:
            _keep(cache, waiting)
    _keep(cache, waiting)
    for rows, means in cache.read([clip.id for clip in clips]):
        yield rows, torch.from_numpy(means).to(classifier.device)


def _keep(cache: LayerCache, waiting: list[tuple[list[str], NDArray[np.float32]]]) -> None:
    """Write what waits as one block."""
    if waiting:
        cache.add([id for ids, _ in waiting for id in ids], np.concatenate([means for _, means in waiting]))
        waiting.clear()


def _run(
    classifier: Wav2Vec2ForSequenceClassification, pool: Pool, clips: Sequence[Clip], progress: Progress, stage: str
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Run the transformer on all clips, in batches of similar length."""
    classifier.eval()
    cnn, device = fingerprint(classifier), classifier.device
    done, reported = 0, time.monotonic()
    for rows in length_batches([clip.seconds for clip in clips], BATCH_SECONDS):
        frames, lengths = pad([pool.frames(cnn, clips[row].id) for row in rows])
        yield rows, clip_features(classifier, frames.to(device), lengths)
        done += len(rows)
        if time.monotonic() - reported > 0.5:
            progress(stage, done, len(clips))
            reported = time.monotonic()
    progress(stage, len(clips), len(clips))
