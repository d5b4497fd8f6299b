"""A classifier's view of many clips: logits and embeddings, each computed once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aftertone_model.backbones.encoder import Encoder
from aftertone_model.backbones.families import SpeechClassifier
from aftertone_model.backbones.features import extract
from aftertone_model.classification.classifier import class_names, clip_features, embed
from aftertone_model.classification.layer_cache import BLOCK, LayerCache
from aftertone_model.data.batches import frame_batches
from aftertone_model.data.clips import Clip
from aftertone_model.runtime import Runtime


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a classifier makes of N clips, rows in the order in which they were given."""

    logits: NDArray[np.float32]  # (N, C)
    embeddings: NDArray[np.float32]  # (N, D), the input of the last linear layer


@torch.no_grad()
def score(
    classifier: SpeechClassifier,
    clips: Sequence[Clip],
    runtime: Runtime,
    *,
    cache: LayerCache | None = None,
    stage: str = "score",
) -> Scores:
    """Run the classifier, in eval mode, on clips.

    A clip's scores are the same to 1e-4 whatever else is in its batch. That is why they are computed in float32 also on
    a GPU: bf16 can't hold it.

    Args:
        cache: the layer means of the backbone, for a classifier that only probes it; what they lack is added.
    """
    logits = np.empty((len(clips), len(class_names(classifier))), np.float32)
    embeddings = np.empty((len(clips), classifier.config.classifier_proj_size), np.float32)
    for rows, features in _in_batches(classifier, clips, runtime, cache, stage):
        embedded = embed(classifier, features)  # (B, D)
        embeddings[rows] = embedded.cpu().numpy()
        logits[rows] = classifier.classifier(embedded).cpu().numpy()
    return Scores(logits=logits, embeddings=embeddings)


@torch.no_grad()
def extract_features(
    classifier: SpeechClassifier,
    clips: Sequence[Clip],
    runtime: Runtime,
    *,
    cache: LayerCache | None = None,
    stage: str = "score",
) -> Tensor:
    """The (N, L, D) `clip_features` of N > 0 clips, on the runtime's device; what a probe trains on."""
    found = list(_in_batches(classifier, clips, runtime, cache, stage))
    order = np.argsort(np.concatenate([rows for rows, _ in found]))
    return torch.cat([features for _, features in found])[torch.from_numpy(order)]


def _in_batches(
    classifier: SpeechClassifier, clips: Sequence[Clip], runtime: Runtime, cache: LayerCache | None, stage: str
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Row numbers and their features (B, L, D), every row once."""
    classifier.eval().to(runtime.device)  # pyright: ignore[reportArgumentType] -- transformers' wrapper
    if cache is None or not classifier.config.use_weighted_layer_sum:
        yield from _run(classifier, clips, runtime, stage)
        return
    missing = [clip for clip in clips if clip.id not in cache]
    waiting: list[tuple[list[str], NDArray[np.float32]]] = []
    for rows, features in _run(classifier, missing, runtime, stage):
        waiting.append(([missing[row].id for row in rows], features.cpu().numpy()))
        if sum(len(ids) for ids, _ in waiting) >= BLOCK:
            _keep(cache, waiting)
    _keep(cache, waiting)
    for rows, means in cache.read([clip.id for clip in clips]):
        yield rows, torch.from_numpy(means).to(runtime.device)


def _keep(cache: LayerCache, waiting: list[tuple[list[str], NDArray[np.float32]]]) -> None:
    """Write what waits as one block."""
    if waiting:
        cache.add([id for ids, _ in waiting for id in ids], np.concatenate([means for _, means in waiting]))
        waiting.clear()


def _run(
    classifier: SpeechClassifier, clips: Sequence[Clip], runtime: Runtime, stage: str
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Run the transformer on all clips, in batches of similar length."""
    if not clips:
        return
    cnn = extract(Encoder(classifier), clips, runtime)
    for rows, frames, lengths in frame_batches(runtime.pool, cnn, clips, stage, runtime.progress):
        yield rows, clip_features(classifier, frames.to(runtime.device), lengths)
