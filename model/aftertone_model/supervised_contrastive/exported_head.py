"""What judges clips in this folder: self-attention pooling of the transformer's output, and two layers above it.

emotions.py uses it. This file is part of Aftertone, Apache-2.0.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor


class Head:
    """Pools frames by learned weights and classifies them."""

    def __init__(self, network: Any, folder: Path) -> None:
        """
        Args:
            network: the folder's classifier, whose transformer is read.
        """
        self._body = network.base_model
        self._weights = load_file(folder / "pooled_head.safetensors")

    def describe(self, heard: Tensor) -> Tensor:
        """(D,) of one clip (1, S), as the network hears it."""
        frames = self._body(heard).last_hidden_state[0]  # (T, D)
        shares = (frames @ self._weights["pooling.attention.weight"][0]).softmax(dim=0)  # (T,)
        return shares @ frames

    def logits(self, described: Tensor) -> Tensor:
        """(N, C) of N clips."""
        own = self._weights
        hidden = torch.relu(described @ own["layers.0.weight"].T + own["layers.0.bias"])
        return hidden @ own["layers.2.weight"].T + own["layers.2.bias"]
