import numpy as np
import pytest
import torch
from transformers import Wav2Vec2ForPreTraining

from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.backbones.features import cnn_means, hidden_means, without_speaker_means
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool


@pytest.fixture(scope="module")
def tiny() -> Wav2Vec2ForPreTraining:
    return load_backbone("tiny")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def clips(pool: Pool, tiny: Wav2Vec2ForPreTraining) -> list[Clip]:
    rng = np.random.default_rng(0)
    added = [pool.add(rng.uniform(-0.5, 0.5, round(s * 16_000)).astype(np.float32)) for s in (0.3, 0.5, 0.9)]
    pool.extract(tiny, added)
    return added


@torch.no_grad()
def test_equals_the_model_on_each_waveform(tiny: Wav2Vec2ForPreTraining, pool: Pool, clips: list[Clip]) -> None:
    cnn, hidden = cnn_means(tiny, pool, clips), hidden_means(tiny, pool, clips)
    for row, clip in enumerate(clips):
        waveform = pool.waveform(clip.id)
        normal = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)
        output = tiny.wav2vec2(torch.from_numpy(normal)[None])
        np.testing.assert_allclose(
            cnn[row], tiny.wav2vec2.feature_extractor(torch.from_numpy(normal)[None])[0].mean(1), atol=2e-3
        )
        np.testing.assert_allclose(hidden[row], output.last_hidden_state[0].mean(0), atol=2e-2)


def test_depends_on_no_other_clip(tiny: Wav2Vec2ForPreTraining, pool: Pool, clips: list[Clip]) -> None:
    for represent in (cnn_means, hidden_means):
        together = represent(tiny, pool, clips)
        np.testing.assert_allclose(represent(tiny, pool, clips[::-1])[::-1], together, atol=1e-4)
        alone = np.concatenate([represent(tiny, pool, [clip]) for clip in clips])
        np.testing.assert_allclose(alone, together, atol=1e-4)


def test_speakers_means_vanish_and_the_overall_mean_stays() -> None:
    points = np.random.default_rng(0).normal(size=(9, 4)) + np.repeat([[0], [50], [-20]], 3, axis=0)
    centred = without_speaker_means(points, ["a"] * 3 + ["b"] * 3 + [None] * 3)
    for rows in (slice(0, 3), slice(3, 6), slice(6, 9)):
        np.testing.assert_allclose(centred[rows].mean(axis=0), points.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(np.diff(centred[rows], axis=0), np.diff(points[rows], axis=0), atol=1e-5)
