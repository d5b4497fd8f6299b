"""What training a classifier minimises: the labels' own loss, and losses of other attributes of a clip beside it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from aftertone_model.data.clips import Clip
from aftertone_model.labels import LabelSchema

UNKNOWN = -100  # cross_entropy's mark of a clip that lacks the attribute


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What the classifier makes of B training clips."""

    rows: NDArray[np.int64]  # (B,) their places among the training clips
    embeddings: Tensor  # (B, D) with dropout, the input of the classifier's last layer
    logits: Tensor  # (B, C)


class Objective(nn.Module, ABC):
    """A loss with its targets, and whatever is learned for it beside the classifier; dropped after training."""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """() mean over the batch, in nats."""


class LabelObjective(Objective):
    """The loss of the label schema, with rare classes weighted up."""

    def __init__(self, schema: LabelSchema, labels: NDArray[np.floating], max_class_weight: float) -> None:
        """
        Args:
            labels: (N, C) of the training clips.
        """
        super().__init__()
        self._schema = schema
        weights = schema.class_weights(labels, max_class_weight)
        self.register_buffer("targets", torch.from_numpy(labels.astype(np.float32)))  # (N, C)
        self.register_buffer("weights", torch.from_numpy(weights))  # (C,)

    def forward(self, batch: Batch) -> Tensor:
        return self.loss(batch.rows, batch.logits)

    def loss(self, rows: NDArray[np.int64], logits: Tensor) -> Tensor:
        """() of logits (B, C)."""
        return self._schema.loss(logits, self.get_buffer("targets")[torch.from_numpy(rows)], self.get_buffer("weights"))


class AttributeObjective(Objective):
    """Cross-entropy of a named attribute, read from the embedding by a linear layer; 0 where no clip has it."""

    def __init__(self, name: str, clips: Sequence[Clip], width: int) -> None:
        """
        Args:
            name: a key of `Clip.attributes`.
            clips: the training clips.
            width: D of the embeddings.
        """
        super().__init__()
        values = sorted({clip.attributes[name] for clip in clips if name in clip.attributes})
        numbers = [values.index(clip.attributes[name]) if name in clip.attributes else UNKNOWN for clip in clips]
        self.register_buffer("targets", torch.tensor(numbers))  # (N,)
        self.head = nn.Linear(width, max(len(values), 1))

    def forward(self, batch: Batch) -> Tensor:
        targets = self.get_buffer("targets")[torch.from_numpy(batch.rows)]  # (B,)
        losses = functional.cross_entropy(self.head(batch.embeddings).float(), targets, reduction="none")
        return losses.sum() / (targets != UNKNOWN).sum().clamp_min(1)
