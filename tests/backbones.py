"""Backbones small enough for tests, drawn at random."""

from pathlib import Path
from typing import Any

import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

HEADS = {
    "feat_extract_norm": "layer", "do_stable_layer_norm": True, "hidden_size": 32, "num_attention_heads": 2,
    "intermediate_size": 64, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, "codevector_dim": 16,
    "proj_codevector_dim": 16,
}  # fmt: skip


def nano(folder: Path) -> Path:
    """Write a checkpoint small enough to adapt and train in a second into `folder`; returns the folder."""
    config = Wav2Vec2Config(
        conv_dim=(16, 16, 16, 16, 16), conv_kernel=(20, 8, 4, 4, 4), conv_stride=(10, 4, 2, 2, 2), num_hidden_layers=2,
        num_codevectors_per_group=16, classifier_proj_size=16, **HEADS,
    )  # fmt: skip
    Wav2Vec2ForPreTraining(config).save_pretrained(folder)
    return folder


def small(*, seed: int = 0, **config: Any) -> Wav2Vec2ForPreTraining:
    """A wav2vec 2.0 of 60,000 random parameters; keyword arguments go to its config."""
    shape = {
        "conv_dim": (16, 16), "conv_kernel": (40, 16), "conv_stride": (20, 16), "num_hidden_layers": 3,
        "num_codevectors_per_group": 8, **HEADS,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Wav2Vec2ForPreTraining(Wav2Vec2Config(**shape | config)).eval()
