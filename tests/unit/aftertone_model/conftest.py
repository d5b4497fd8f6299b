"""A wav2vec 2.0 small enough to train in a second, and a pool of tones that it can learn to tell apart."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.features import extract
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.runtime import Runtime

CLASSES = ("low", "middle", "high")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Models this small wait longer for a second thread than they compute."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_backbone() -> Callable[..., Backbone]:
    """A wav2vec 2.0 of 60,000 random parameters; keyword arguments go to its config."""

    def make(*, seed: int = 0, **config) -> Backbone:
        shape = {
            "conv_dim": (16, 16),
            "conv_kernel": (40, 16),
            "conv_stride": (20, 16),
            "feat_extract_norm": "layer",
            "do_stable_layer_norm": True,
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
            "codevector_dim": 16,
            "proj_codevector_dim": 16,
            "num_codevectors_per_group": 8,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Backbone(Wav2Vec2ForPreTraining(Wav2Vec2Config(**shape | config)).eval())

    return make


@pytest.fixture(scope="session")
def backbone(make_backbone) -> Backbone:
    return make_backbone()


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pool, list[Clip], dict[str, np.ndarray]]:
    """60 clips of ten speakers in a pool without frames, and the class of each as a one-hot label."""
    pool = Pool(tmp_path_factory.mktemp("pool"))
    rng = np.random.default_rng(0)
    clips, labels = [], {}
    for number in range(60):
        kind = number % 3
        time = np.arange(int(16_000 * rng.uniform(0.3, 0.8))) / 16_000
        pitch = 200 * 2.5**kind * rng.uniform(0.95, 1.05)
        wave = 0.5 * np.sin(2 * np.pi * pitch * time) + 0.05 * rng.normal(size=len(time))
        clip = replace(pool.add(wave.astype(np.float32)), speaker=f"s{number // 6}")
        clips.append(clip)
        labels[clip.id] = np.eye(3)[kind]
    return pool, clips, labels


@pytest.fixture(scope="session")
def extracted(tones, backbone) -> tuple[Pool, list[Clip], dict[str, np.ndarray]]:
    """The same pool with the frames of `backbone`."""
    pool, clips, labels = tones
    extract(backbone, clips, Runtime(pool=pool))
    return pool, clips, labels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "folder"
