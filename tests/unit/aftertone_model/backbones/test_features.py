import numpy as np
import pytest
import torch

from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.backbones.features import cnn_means
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.runtime import Runtime


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return load_backbone("tiny")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return Runtime(pool=Pool(tmp_path_factory.mktemp("pool")))


@pytest.fixture(scope="module")
def clips(runtime: Runtime) -> list[Clip]:
    rng = np.random.default_rng(0)
    return [runtime.pool.add(rng.uniform(-0.5, 0.5, round(s * 16_000)).astype(np.float32)) for s in (0.3, 0.5, 0.9)]


@torch.no_grad()
def test_equals_the_model_on_each_waveform(tiny: Backbone, runtime: Runtime, clips: list[Clip]) -> None:
    means = cnn_means(tiny, clips, runtime)
    for row, clip in enumerate(clips):
        waveform = runtime.pool.waveform(clip.id)
        normal = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)
        expected = tiny.body.feature_extractor(torch.from_numpy(normal)[None])[0].mean(1)
        np.testing.assert_allclose(means[row], expected, atol=2e-3)


def test_depends_on_no_other_clip(tiny: Backbone, runtime: Runtime, clips: list[Clip]) -> None:
    together = cnn_means(tiny, clips, runtime)
    np.testing.assert_allclose(cnn_means(tiny, clips[::-1], runtime)[::-1], together, atol=1e-4)
    alone = np.concatenate([cnn_means(tiny, [clip], runtime) for clip in clips])
    np.testing.assert_allclose(alone, together, atol=1e-4)
