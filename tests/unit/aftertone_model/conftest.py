"""A wav2vec 2.0 small enough to train in a second, and a pool of tones that it can learn to tell apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.features import extract
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.runtime import Runtime
from tests.backbones import small

CLASSES = ("low", "middle", "high")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Models this small wait longer for a second thread than they compute."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    return small()


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
