"""Several processes that train one model: each computes a share of every update's clips, and gradients are added up.

The processes are those of a `torch.distributed` group that their launcher started (gloo on CPUs, NCCL on GPUs). All of
them draw the same batches and crops, and have the same weights before and after each update. Alone, a process has all.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn


@dataclass(frozen=True, kw_only=True)
class Team:
    """The processes that train together, as one of them sees it."""

    rank: int = 0  # of this process, from 0
    size: int = 1

    def own(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows that this process computes; [] where there are too few for all."""
        return rows[self.rank :: self.size]

    def add_up(self, weights: Iterable[nn.Parameter], loss: Tensor) -> Tensor:
        """Make each weight's gradient the sum of all processes', and return the sum of their losses (), in float32.

        A process that had no rows counts as one whose gradients are 0. A weight that no process has a gradient of keeps
        none, so that the optimiser leaves it alone.
        """
        if self.size == 1:
            return loss
        trained = list(weights)
        gradients = [torch.zeros_like(w) if w.grad is None else w.grad for w in trained]
        there = torch.tensor([float(w.grad is not None) for w in trained], device=loss.device)
        parts = [loss.detach().float().reshape(1), there, *(gradient.float().flatten() for gradient in gradients)]
        flat = torch.cat(parts)
        distributed.all_reduce(flat)
        total, counts, *summed = flat.split([part.numel() for part in parts])
        for weight, count, gradient in zip(trained, counts.tolist(), summed, strict=True):
            weight.grad = gradient.view_as(weight).to(weight.dtype) if count else None
        return total[0]


def present_team() -> Team:
    """The processes of the present group; this one alone where there is none."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return Team()
    return Team(rank=distributed.get_rank(), size=distributed.get_world_size())
