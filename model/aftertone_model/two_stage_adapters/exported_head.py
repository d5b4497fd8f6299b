"""What judges clips in this folder: adapters in each layer of its transformer, a feature for each task, a classifier.

LoRA is added to the attention's weights when this is loaded. emotions.py uses it. This file is part of Aftertone,
Apache-2.0.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional


class Head:
    """Changes a network in memory, and judges by what it then says."""

    def __init__(self, network: Any, folder: Path) -> None:
        """
        Args:
            network: the folder's classifier; its transformer gets the adapters.
        """
        self._body = network.base_model
        self._weights = weights = load_file(folder / "two_stage_head.safetensors")
        for number, layer in enumerate(self._body.encoder.layers):
            for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
                if f"layers.{number}.{name}.a" in weights:
                    update = weights[f"layers.{number}.{name}.b"] @ weights[f"layers.{number}.{name}.a"]
                    getattr(layer.attention, name).weight.data += update
            layer.register_forward_hook(self._add_bottleneck(f"layers.{number}.bottleneck"))

    def describe(self, heard: Tensor) -> Tensor:
        """(F,) of one clip (1, S), as the network hears it: the features of all tasks, side by side."""
        frames = self._body(heard).last_hidden_state[0]  # (T, D)
        features: list[Tensor] = []
        while f"tasks.{len(features)}.projector.weight" in self._weights:
            task = f"tasks.{len(features)}"
            adapted = frames
            if f"{task}.bottleneck.norm.weight" in self._weights:
                adapted = frames + self._bottleneck(f"{task}.bottleneck", frames)
            features.append(self._linear(f"{task}.projector", adapted.mean(dim=0)))
        return torch.cat(features)

    def logits(self, described: Tensor) -> Tensor:
        """(N, C) of N clips; without fusion of the tasks the classifier reads the first one's feature alone."""
        weight = self._weights["classifier.weight"]
        return self._linear("classifier", described[:, : weight.shape[1]])

    def _add_bottleneck(self, place: str) -> Any:
        def add(_layer: Any, _inputs: Any, output: Any) -> Any:
            if isinstance(output, tuple):
                return output[0] + self._bottleneck(place, output[0]), *output[1:]
            return output + self._bottleneck(place, output)

        return add

    def _bottleneck(self, place: str, frames: Tensor) -> Tensor:
        own = self._weights
        normed = functional.layer_norm(
            frames, frames.shape[-1:], own[f"{place}.norm.weight"], own[f"{place}.norm.bias"]
        )
        return self._linear(f"{place}.linear_2", functional.relu(self._linear(f"{place}.linear_1", normed)))

    def _linear(self, place: str, frames: Tensor) -> Tensor:
        return functional.linear(frames, self._weights[f"{place}.weight"], self._weights[f"{place}.bias"])
