"""What a trained model says of clips."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from aftertone_model.backbones.features import extract, frame_batches
from aftertone_model.data.clips import Clip
from aftertone_model.runtime import Runtime
from aftertone_model.two_stage_adapters.model import MultiTaskModel


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Of N clips."""

    logits: NDArray[np.float32]  # (N, C) of emotion
    embeddings: NDArray[np.float32]  # (N, D) that the emotion classifier reads
    attributes: dict[str, NDArray[np.float32]]  # (N, V) logits of each attribute, in the order of `HeadShape`'s values


@torch.no_grad()
def predict(model: MultiTaskModel, clips: Sequence[Clip], runtime: Runtime) -> Predictions:
    """Logits and embeddings, without dropout, of whole clips."""
    shape = model.heads.shape
    found = Predictions(
        logits=np.empty((len(clips), shape.classes), np.float32),
        embeddings=np.empty((len(clips), model.heads.classifier.in_features), np.float32),
        attributes={name: np.empty((len(clips), len(values)), np.float32) for name, values in shape.attributes.items()},
    )
    cnn = extract(model.backbone, clips, runtime)
    for rows, frames, lengths in frame_batches(runtime, cnn, clips, "score"):
        outputs = model(frames.to(runtime.device), lengths)
        found.logits[rows] = outputs.emotion.cpu().numpy()
        found.embeddings[rows] = outputs.embeddings.cpu().numpy()
        for name, logits in zip(shape.attributes, outputs.attributes, strict=True):
            found.attributes[name][rows] = logits.cpu().numpy()
    return found
