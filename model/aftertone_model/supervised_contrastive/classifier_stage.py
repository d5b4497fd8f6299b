"""Stage 2: pooling and classifier learn the target's labels above a frozen transformer."""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aftertone_model.backbones.encoder import Encoder
from aftertone_model.backbones.features import extract, frame_batches
from aftertone_model.data.batches import pad
from aftertone_model.data.clips import Clip
from aftertone_model.labels import LabelSchema
from aftertone_model.runtime import Runtime
from aftertone_model.supervised_contrastive.batches import contextualised
from aftertone_model.supervised_contrastive.config import ClassifierStage
from aftertone_model.supervised_contrastive.pooling import PooledClassifier, SelfAttentionPooling


def train_classifier(
    encoder: Encoder,
    pooling: SelfAttentionPooling,
    schema: LabelSchema,
    clips: Sequence[Clip],
    labels: NDArray[np.floating],
    config: ClassifierStage,
    runtime: Runtime,
) -> PooledClassifier:
    """Train on labelled clips with the schema's loss (cross-entropy for a single choice) and Adam.

    Args:
        encoder: frozen, in eval mode, on the runtime's device.
        pooling: of stage 1; not changed.
        labels: (N, C) soft labels, N > 0.
    """
    rng = np.random.default_rng(runtime.seed)
    targets = torch.from_numpy(labels.astype(np.float32)).to(runtime.device)
    weights = torch.ones(len(schema.classes), device=runtime.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(runtime.seed)
        model = PooledClassifier(copy.deepcopy(pooling), config.hidden, len(schema.classes)).to(runtime.device)
    frames = last_layer(encoder, clips, runtime)  # the transformer is frozen: once is enough
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda epoch: 1.0 if epoch < config.slowed_from else config.slowed_to
    )
    model.train()
    for epoch in range(config.epochs):
        for rows in np.array_split(rng.permutation(len(clips)), -(-len(clips) // config.batch_size)):
            padded, lengths = pad([frames[row] for row in rows])
            logits = model(padded.to(runtime.device).float(), lengths)
            loss = schema.loss(logits, targets[torch.from_numpy(rows)], weights)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        schedule.step()
        runtime.progress("train", epoch + 1, config.epochs)
    return model.eval()


@torch.no_grad()
def predict(
    encoder: Encoder, model: PooledClassifier, clips: Sequence[Clip], runtime: Runtime
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, C) logits and (N, D) embeddings, the pooled frames, of clips."""
    logits = np.empty((len(clips), model.classes), np.float32)
    embeddings = np.empty((len(clips), model.width), np.float32)
    for rows, hidden, lengths in _run(encoder, clips, runtime, "score"):
        pooled = model.pooling(hidden, lengths)
        logits[rows], embeddings[rows] = model.layers(pooled).cpu().numpy(), pooled.cpu().numpy()
    return logits, embeddings


@torch.no_grad()
def last_layer(encoder: Encoder, clips: Sequence[Clip], runtime: Runtime) -> list[NDArray[np.float16]]:
    """(T, D) of each clip: what the transformer gives; N * T * D * 2 bytes in all."""
    found: list[NDArray[np.float16]] = [np.empty((0, 0), np.float16)] * len(clips)
    for rows, hidden, lengths in _run(encoder, clips, runtime, "features"):
        for row, frames, length in zip(rows.tolist(), hidden.half().cpu().numpy(), lengths.tolist(), strict=True):
            found[row] = frames[:length].copy()  # a view would keep the whole batch
    return found


def _run(
    encoder: Encoder, clips: Sequence[Clip], runtime: Runtime, stage: str
) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
    """Rows, the transformer's output (B, T, D) and lengths (B,), in batches of similar length."""
    cnn = extract(encoder, clips, runtime)
    for rows, frames, lengths in frame_batches(runtime, cnn, clips, stage):
        yield rows, contextualised(encoder, frames.to(runtime.device), lengths), lengths
