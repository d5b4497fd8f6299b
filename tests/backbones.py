"""Backbones small enough to adapt and train in a second, drawn at random; all that tests use are made here."""

import copy
from pathlib import Path
from typing import Any

import torch
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2ForPreTraining,
    WavLMConfig,
    WavLMModel,
)

from aftertone_model.backbones.backbone import Backbone

SHAPE: dict[str, Any] = {
    "conv_dim": (16, 16),
    "conv_kernel": (40, 16),
    "conv_stride": (20, 16),
    "feat_extract_norm": "layer",
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
"""Fields that the configs of all families have."""
WAV2VEC2: dict[str, Any] = SHAPE | {
    "do_stable_layer_norm": True,
    "codevector_dim": 16,
    "proj_codevector_dim": 16,
    "num_codevectors_per_group": 8,
}


GROUP: dict[str, Any] = {"feat_extract_norm": "group"}
BASE: dict[str, Any] = GROUP | {"do_stable_layer_norm": False}
STABLE: dict[str, Any] = {"do_stable_layer_norm": True}
DATA2VEC: dict[str, Any] = SHAPE | {"num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 5}  # layers of 5 taps
CLASSES: dict[str, tuple[type[PreTrainedModel], Any]] = {
    "wav2vec2": (Wav2Vec2ForPreTraining, Wav2Vec2Config(**WAV2VEC2)),  # XLS-R's
    "wav2vec2-group-norm": (
        Wav2Vec2ForPreTraining,
        Wav2Vec2Config(**WAV2VEC2 | BASE),
    ),
    "hubert": (HubertModel, HubertConfig(**SHAPE | STABLE)),
    "hubert-group-norm": (HubertModel, HubertConfig(**SHAPE | GROUP)),
    "wavlm": (WavLMModel, WavLMConfig(**SHAPE | STABLE)),
    "wavlm-group-norm": (WavLMModel, WavLMConfig(**SHAPE | GROUP)),
    "data2vec-audio": (Data2VecAudioModel, Data2VecAudioConfig(**DATA2VEC)),
}
"""Every class of backbone, as published: large ones have layer norm, base ones group norm."""


def of_class(name: str) -> Backbone:
    """A small one of `CLASSES`."""
    kind, config = CLASSES[name]
    return drawn(kind, copy.deepcopy(config))


def small(*, seed: int = 0, **config: Any) -> Backbone:
    """A wav2vec 2.0 of 60,000 parameters; keyword arguments go to its config."""
    return drawn(Wav2Vec2ForPreTraining, Wav2Vec2Config(**WAV2VEC2 | config), seed=seed)


def drawn(kind: type[PreTrainedModel], config: Any, *, seed: int = 0) -> Backbone:
    """A model of any family, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Backbone(kind(config).eval())


def nano(folder: Path) -> Path:
    """Save a wav2vec 2.0 with a frame per 20 ms, as a published one has; returns the folder."""
    shape = {"conv_dim": (16,) * 5, "conv_kernel": (20, 8, 4, 4, 4), "conv_stride": (10, 4, 2, 2, 2)}
    small(**shape, num_hidden_layers=2, num_codevectors_per_group=16, classifier_proj_size=16).save(folder)
    return folder
