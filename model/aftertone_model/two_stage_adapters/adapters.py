"""Adapters in each transformer layer: LoRA in the attention, a bottleneck after the feed-forward (section 2.2).

The bottleneck is transformers' own module of MMS (`adapter_attn_dim`: norm, down, ReLU, up, added to its input).
Despite that name it stands behind the feed-forward, which is where the paper puts its adapter. Layers with the norm
first ("stable", of XLS-R, wav2vec 2.0 large and aftertone-mini, and of such HuBERTs) have a place for it; others
(wav2vec 2.0 base, HuBERT base, WavLM) get it by a hook on what the layer gives.

Both begin as nothing: LoRA's B (`classification/lora.py`) and the bottleneck's upward half are 0, so that a stage
starts where the last one ended.
"""

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2AttnAdapterLayer

from aftertone_model.backbones.digest import digest
from aftertone_model.backbones.encoder import Encoder
from aftertone_model.classification.lora import add_lora
from aftertone_model.two_stage_adapters.config import AdapterConfig


class Bottleneck(Wav2Vec2AttnAdapterLayer):
    """What is to be added to frames (..., D); 0 at first."""

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__(SimpleNamespace(hidden_size=width, adapter_attn_dim=narrow))
        nn.init.zeros_(self.linear_2.weight)
        nn.init.zeros_(self.linear_2.bias)


class LayerAdapters(nn.Module):
    """All that was put into a transformer, under names of our own; the modules are also those that run inside it."""

    def __init__(self, layers: list[dict[str, nn.Module]], config: AdapterConfig, base: str) -> None:
        """
        Args:
            base: names the weights of the transformer without them.
        """
        super().__init__()
        self.config, self.base = config, base
        self.layers = nn.ModuleList([nn.ModuleDict(layer) for layer in layers])


def insert_adapters(encoder: Encoder, config: AdapterConfig, seed: int) -> LayerAdapters:
    """Put adapters into the encoder's transformer layers, in place; it computes what it did, until they are trained.

    Args:
        encoder: without adapters of ours.
        seed: of LoRA's A and the bottlenecks' downward halves.
    """
    base = digest(encoder.body.state_dict())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        add_lora(encoder, config.rank, config.projections)
        layers: list[dict[str, nn.Module]] = []
        for layer in encoder.body.encoder.layers:
            found = {name: _update(getattr(layer.attention, name)) for name in config.projections}
            bottleneck = Bottleneck(encoder.config.hidden_size, config.bottleneck).to(encoder.device)
            if getattr(layer, "adapter_layer", bottleneck) is None:
                layer.adapter_layer = bottleneck
            else:  # there is no place, or MMS's adapter of a language is in it
                layer.bottleneck = bottleneck
                layer.register_forward_hook(_add_bottleneck)
            layers.append({**found, "bottleneck": bottleneck})
    encoder.model.requires_grad_(True)  # peft freezes what it finds
    return LayerAdapters(layers, config, base)


def _update(projection: Any) -> nn.Module:
    """What LoRA trains of a projection: a parametrisation's module, or peft's."""
    if parametrize.is_parametrized(projection):
        return projection.parametrizations["weight"][0]
    return nn.ModuleDict({"lora_a": projection.lora_A["default"], "lora_b": projection.lora_B["default"]})


def _add_bottleneck(layer: Any, _inputs: Any, output: Any) -> Any:
    if isinstance(output, tuple):  # WavLM's come with a position bias
        return output[0] + layer.bottleneck(output[0]), *output[1:]
    return output + layer.bottleneck(output)
