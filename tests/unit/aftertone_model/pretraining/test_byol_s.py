"""The teacher: the network that BYOL-S' weights fit, and errors for files that are none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from aftertone_model.errors import TeacherError
from aftertone_model.pretraining.teachers.byol_s import HOP, ByolS, load_byol_s


def byol_weights(channels: int = 4, width: int = 6, bands: int = 16) -> dict[str, Tensor]:
    """Random weights of the network's form, smaller."""
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, Tensor] = {}
    for number, inputs in zip((0, 4, 8), (1, channels, channels), strict=True):
        weights[f"features.{number}.weight"] = torch.randn(channels, inputs, 3, 3, generator=generator)
        weights[f"features.{number}.bias"] = torch.randn(channels, generator=generator)
        norm = f"features.{number + 1}."
        weights |= {norm + "weight": torch.ones(channels), norm + "bias": torch.zeros(channels)}
        weights |= {norm + "running_mean": torch.zeros(channels), norm + "running_var": torch.ones(channels)}
        weights[norm + "num_batches_tracked"] = torch.tensor(1)
    for number, inputs in ((0, channels * bands // 8), (3, width)):
        weights[f"fc.{number}.weight"] = torch.randn(width, inputs, generator=generator)
        weights[f"fc.{number}.bias"] = torch.randn(width, generator=generator)
    return weights


@pytest.fixture
def teacher() -> ByolS:
    return ByolS(byol_weights())


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=samples).astype(np.float32)


def test_a_vector_per_80_ms_of_every_activation(teacher: ByolS) -> None:
    embeddings = teacher.embed(noise(10 * HOP + 7))
    assert embeddings.shape == (10, 4 * 2 + 6 + 6)
    assert embeddings.dtype == np.float16
    assert np.isfinite(embeddings).all()
    assert (embeddings >= 0).all()  # all of them behind a ReLU


def test_the_level_of_a_recording_does_not_matter(teacher: ByolS) -> None:
    quiet = (0.01 * noise(8_000)).astype(np.float32)
    np.testing.assert_allclose(teacher.embed(noise(8_000)), teacher.embed(quiet), rtol=0.02, atol=0.02)


def test_a_clip_of_less_than_80_ms_still_has_a_vector(teacher: ByolS) -> None:
    assert len(teacher.embed(noise(500))) == 1


def test_weights_are_read_from_a_file_and_name_it(tmp_path: Path, teacher: ByolS) -> None:
    path = tmp_path / "byol-s_default.pth"
    torch.save(byol_weights(), path)
    assert load_byol_s(path).fingerprint == teacher.fingerprint
    changed = byol_weights() | {"fc.3.bias": torch.zeros(6)}
    assert ByolS(changed).fingerprint != teacher.fingerprint


@pytest.mark.parametrize("content", [b"", b"no weights", None])
def test_a_file_that_is_no_teacher_is_refused_in_words(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "teacher.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TeacherError, match="leave the teacher out"):
        load_byol_s(path)
    torch.save({"layer": torch.zeros(2)}, path)
    with pytest.raises(TeacherError, match="no BYOL-S network"):
        load_byol_s(path)
