"""A classifier's view of many clips: logits and embeddings, each computed once."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aftertone_model.backbones.encoder import Encoder
from aftertone_model.backbones.families import SpeechClassifier
from aftertone_model.backbones.features import extract, frame_batches
from aftertone_model.backbones.precision import fastest
from aftertone_model.classification.classifier import (
    class_names,
    clip_features,
    dropout_masks,
    embed,
    sampled_logits,
)
from aftertone_model.classification.clip_head import (
    FEWEST,
    ClipHead,
    Moments,
    Reading,
    describe,
    describe_changes,
    fit_damping,
    no_damping,
    principal_components,
)
from aftertone_model.classification.layer_cache import BLOCK, LayerCache
from aftertone_model.data.batches import scoring_seconds
from aftertone_model.data.clips import Clip
from aftertone_model.errors import BackboneError
from aftertone_model.memory import Parts, Portion
from aftertone_model.runtime import Runtime

EXAMPLES = 2_000  # clips, drawn by chance, that principal components are taken of


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a classifier makes of N clips, rows in the order in which they were given."""

    logits: NDArray[np.float32]  # (N, C)
    embeddings: NDArray[np.float32]  # (N, D), what strategies compare clips by
    samples: NDArray[np.float32] | None = None  # (N, K, C) logits under K dropout masks, where they were asked for


@dataclass(frozen=True, kw_only=True)
class Dropout:
    """Masks under which clips are scored as well."""

    samples: int  # K > 0
    share: float  # of the inputs that each mask drops, in (0, 1)
    seed: int


@torch.no_grad()
def score(
    classifier: SpeechClassifier,
    clips: Sequence[Clip],
    runtime: Runtime,
    *,
    head: ClipHead | None = None,
    dropout: Dropout | None = None,
    cache: LayerCache | None = None,
    stage: str = "score",
) -> Scores:
    """Run the classifier, in eval mode, on clips.

    A clip's probabilities are the same to 1e-4 whatever else is in its batch where the transformer computes in float32,
    and to about 1e-2 where it computes in bfloat16 (`precision.fastest`), which it doesn't for the cache.

    Args:
        head: judges clips in place of the classifier's own.
        cache: what the backbone makes of clips, for a classifier that only probes it; what it lacks is added.
    """
    classes, width = len(class_names(classifier)), classifier.config.classifier_proj_size
    inputs = width
    if head is not None:
        head = head.to(runtime.device)
        inputs, width = head.projection.shape
    logits = np.empty((len(clips), classes), np.float32)
    embeddings = np.empty((len(clips), width), np.float32)
    samples, keep = None, None
    if dropout is not None:
        samples = np.empty((len(clips), dropout.samples, classes), np.float32)
        keep = dropout_masks(dropout.samples, inputs, dropout.share, dropout.seed).to(runtime.device)
    for rows, features in _in_batches(classifier, clips, runtime, cache, stage):
        if head is None:
            embedded = embed(classifier, features)  # (B, D)
            found = classifier.classifier(embedded)
            sampled = None if keep is None else sampled_logits(classifier, embedded, keep)
        else:
            flat, speakers = head.describe(features), [clips[row].speaker for row in rows]
            found, embedded = head.logits(flat, speakers), head.embed(flat, speakers)
            sampled = None if keep is None else head.sampled(flat, speakers, keep)
        logits[rows], embeddings[rows] = found.cpu().numpy(), embedded.cpu().numpy()
        if samples is not None and sampled is not None:
            samples[rows] = sampled.cpu().numpy()
    return Scores(logits=logits, embeddings=embeddings, samples=samples)


@torch.no_grad()
def scores_of(
    embedded: Iterator[tuple[NDArray[np.int64], Tensor]],
    clips: int,
    shape: tuple[int, int],
    classify: Callable[[Tensor], Tensor],
    dropout: Dropout | None = None,
) -> Scores:
    """The scores of N clips by a head of any form on their embeddings, which are also what strategies compare.

    Args:
        embedded: row numbers and embeddings (B, D), every row once.
        clips: N.
        shape: classes C and D.
        classify: logits (B, C) of embeddings (B, D).
        dropout: masks of the embeddings, the same for every clip.
    """
    classes, width = shape
    logits, embeddings = np.empty((clips, classes), np.float32), np.empty((clips, width), np.float32)
    samples, keep = None, None
    if dropout is not None:
        samples = np.empty((clips, dropout.samples, classes), np.float32)
        keep = dropout_masks(dropout.samples, width, dropout.share, dropout.seed)
    for rows, found in embedded:
        logits[rows], embeddings[rows] = classify(found).cpu().numpy(), found.cpu().numpy()
        if samples is not None and keep is not None:
            sampled = [classify(found * mask.to(found.device)) for mask in keep]
            samples[rows] = torch.stack(sampled, dim=1).cpu().numpy()  # (B, K, C)
    return Scores(logits=logits, embeddings=embeddings, samples=samples)


@torch.no_grad()
def read_pool(
    classifier: SpeechClassifier,
    clips: Sequence[Clip],
    runtime: Runtime,
    *,
    deviation: bool,
    by_speaker: bool,
    damped: bool,
    cache: LayerCache | None = None,
) -> Reading:
    """How the features of N > 0 clips are to be read.

    Args:
        deviation: of the features, deviations over time count too.
        by_speaker: speakers get locations of their own.
        damped: directions in which a clip's halves differ are damped.
    """
    moments = Moments()
    counts = Counter(clip.speaker for clip in clips)
    # Speakers with fewer clips have no location of their own, so that no sums are kept of them.
    speakers = [clip.speaker if by_speaker and counts[clip.speaker] >= FEWEST else None for clip in clips]
    chosen = set(np.random.default_rng(runtime.seed).permutation(len(clips))[:EXAMPLES].tolist())
    examples: dict[int, tuple[Tensor, Tensor]] = {}  # (F,) features and their change
    for rows, features in _in_batches(classifier, clips, runtime, cache, "speakers"):
        flat = describe(features, deviation=deviation)
        moments.add(flat, [speakers[row] for row in rows])
        changes = describe_changes(features, deviation=deviation)
        for row, clip, change in zip(rows.tolist(), flat, changes, strict=True):
            if row in chosen:
                examples[row] = clip.clone(), change.clone()  # a view would keep the whole batch
    standardisation = moments.standardisation(runtime.device)
    shown = sorted(examples)  # whatever the order of the batches
    found, changes = map(torch.stack, zip(*(examples[row] for row in shown), strict=True))  # (M, F) each
    view = standardisation.views(found, [speakers[row] for row in shown])[1]
    damping = fit_damping(changes / standardisation.scale) if damped else no_damping(view.shape[1], view.device)
    return Reading(standardisation=standardisation, damping=damping, projection=principal_components(view, damping))


@torch.no_grad()
def extract_features(
    classifier: SpeechClassifier,
    clips: Sequence[Clip],
    runtime: Runtime,
    *,
    cache: LayerCache | None = None,
    stage: str = "score",
) -> Tensor:
    """The (N, L, 4D) `clip_features` of N > 0 clips, on the runtime's device; what a probe trains on."""
    found = list(_in_batches(classifier, clips, runtime, cache, stage))
    order = np.argsort(np.concatenate([rows for rows, _ in found]))
    return torch.cat([features for _, features in found])[torch.from_numpy(order)]


def _in_batches(
    classifier: SpeechClassifier, clips: Sequence[Clip], runtime: Runtime, cache: LayerCache | None, stage: str
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Row numbers and their features (B, L, 4D), every row once."""
    classifier.eval().to(runtime.device)  # pyright: ignore[reportArgumentType] -- transformers' wrapper
    if cache is None or not classifier.config.use_weighted_layer_sum:
        yield from _run(classifier, clips, runtime, stage, fastest(classifier.config, runtime.device))
        return
    missing = [clip for clip in clips if clip.id not in cache]
    waiting: list[tuple[list[str], NDArray[np.float32]]] = []
    # What is computed once and kept is exact, so that exports, which compute in float32, give what was served.
    for rows, features in _run(classifier, missing, runtime, stage, torch.autocast(runtime.device.type, enabled=False)):
        waiting.append(([missing[row].id for row in rows], features.cpu().numpy()))
        if sum(len(ids) for ids, _ in waiting) >= BLOCK:
            _keep(cache, waiting)
    _keep(cache, waiting)
    done = 0
    for rows, means in cache.read([clip.id for clip in clips]):
        yield rows, torch.from_numpy(means).to(runtime.device)
        done += len(rows)
        runtime.progress(stage, done, len(clips))


def _keep(cache: LayerCache, waiting: list[tuple[list[str], NDArray[np.float32]]]) -> None:
    """Write what waits as one block.

    Raises:
        BackboneError: it isn't finite, so that it would spoil each round to come.
    """
    if not all(np.isfinite(features).all() for _, features in waiting):
        raise BackboneError(
            "What the backbone makes of some clips is not finite: its weights are damaged, or the clips' cached CNN "
            "frames. Remove the project's folder pool/features, which is made again, or set another BACKBONE."
        )
    if waiting:
        cache.add([id for ids, _ in waiting for id in ids], np.concatenate([means for _, means in waiting]))
        waiting.clear()


def _run(
    classifier: SpeechClassifier,
    clips: Sequence[Clip],
    runtime: Runtime,
    stage: str,
    precision: torch.autocast,
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    def describe(frames: Tensor, lengths: Tensor) -> Tensor:
        with precision:
            return clip_features(classifier, frames, lengths)

    return in_portions(Encoder(classifier), clips, runtime, stage, describe)


def in_portions(
    encoder: Encoder,
    clips: Sequence[Clip],
    runtime: Runtime,
    stage: str,
    describe: Callable[[Tensor, Tensor], Tensor],
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Run what stands above the CNN on all clips, in batches of similar length, smaller ones where memory is short.

    Args:
        encoder: whose CNN frames are described.
        describe: (B, ...) of CNN frames (B, T, D), on the runtime's device, and their lengths (B,).

    Yields:
        Row numbers and what `describe` gave for them, every row once.
    """
    if not clips:
        return
    cnn = extract(encoder, clips, runtime)
    portion = Portion(scoring_seconds(runtime.device), "scoring")
    for rows, frames, lengths in frame_batches(runtime, cnn, clips, stage):

        def described(
            parts: Parts, rows: NDArray[np.int64] = rows, frames: Tensor = frames, lengths: Tensor = lengths
        ) -> list[tuple[NDArray[np.int64], Tensor]]:
            found = []
            for part in parts:
                longest = int(lengths[part].max())
                found.append((rows[part], describe(frames[part, :longest].to(runtime.device), lengths[part])))
            return found

        yield from portion.run([clips[row].seconds for row in rows], described)
