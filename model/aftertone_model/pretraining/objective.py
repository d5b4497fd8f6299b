"""What pre-training minimises: the contract of its objectives, and the batch that they all look at."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.precision import transformer_in_bf16
from aftertone_model.data.clips import Clip
from aftertone_model.pretraining.frame_sources import FrameSource, Stretch
from aftertone_model.pretraining.masking import Masks
from aftertone_model.runtime import Runtime

WARM_UP = 0.1  # share of the steps over which the learning rate rises, and in TAPT new heads learn alone


class Term(NamedTuple):
    """One named part of a loss."""

    value: Tensor  # () the mean over `size` things of this batch
    size: float  # what it is averaged by over several batches
    weight: float = 1.0  # in the loss that is minimised


@dataclass(frozen=True, kw_only=True)
class MaskedBatch:
    """A batch and what the transformer makes of it with some frames hidden."""

    stretches: Sequence[Stretch]
    frames: Tensor  # (B, T, C) of the CNN
    lengths: Tensor  # (B,) frames of each utterance, on the CPU
    masks: Masks
    hidden: Tensor  # (B, T, D) float32, the transformer's output
    layers: Sequence[Tensor]  # (B, T, D) each, the output of each of its layers, in the precision it computes in
    context: Tensor  # (B, N, D) the same at the masked frames


class Objective(nn.Module, ABC):
    """A loss, with whatever is learned for it beside the backbone; dropped when pre-training ends."""

    judge: ClassVar[str]  # name of the term by which the best weights are chosen, lower is better
    fresh: bool = False  # what `judge` measures starts untrained, so that it falls whatever the backbone learns

    def prepare(self, clips: Sequence[Clip], examples: Sequence[Clip], runtime: Runtime) -> None:
        """Compute once what can be: targets of all clips, scales from some of them."""

    def settle(self, examples: Sequence[Clip], source: FrameSource, runtime: Runtime) -> None:
        """Right before the first step."""

    def anneal(self, done: float) -> None:
        """Set what changes over the run, of which a share `done` in [0, 1) is over."""

    @abstractmethod
    def forward(self, batch: MaskedBatch) -> dict[str, Term]:
        """The loss by its parts."""

    def usage(self, batch: MaskedBatch) -> Tensor | None:
        """How often each code (G, E) was chosen in the batch, for targets that are learned: few in use tell a collapse.
        Targets that are fixed, such as units, can't collapse."""
        del batch
        return None


def run_masked(
    backbone: Backbone, stretches: Sequence[Stretch], frames: Tensor, lengths: Tensor, masks: Masks
) -> MaskedBatch:
    """Run the transformer on a batch with the masked frames hidden.

    In bfloat16 in training where that is faster; always on a GPU, whose sums differ from batch to batch anyway.
    """
    bf16 = transformer_in_bf16(backbone.config, frames.device)
    bf16 = bf16 and (backbone.model.training or frames.device.type == "cuda")
    with torch.autocast(frames.device.type, torch.bfloat16, enabled=bf16):
        hidden, layers = backbone.contextualise_by_layer(frames, lengths, masked=masks.spread(frames.shape[1]))
    hidden = hidden.float()  # (B, T, D)
    rows = torch.arange(len(frames), device=frames.device)[:, None]
    return MaskedBatch(
        stretches=stretches,
        frames=frames,
        lengths=lengths,
        masks=masks,
        hidden=hidden,
        layers=layers,
        context=hidden[rows, masks.positions],
    )
