"""Surprisal: a clip's profile is its own, whoever it is measured with."""

from pathlib import Path

import numpy as np
import pytest
from transformers import Wav2Vec2ForPreTraining

from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.pretraining.contrastive import NEGATIVES
from aftertone_model.pretraining.masked_loss_profiles import QUANTILES, masked_loss_profiles

SECONDS = (0.05, 0.3, 0.5, 0.9, 1.4)  # the first is too short to be masked


@pytest.fixture(scope="module")
def tiny() -> Wav2Vec2ForPreTraining:
    return load_backbone("tiny")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def clips(pool: Pool, tiny: Wav2Vec2ForPreTraining) -> list[Clip]:
    rng = np.random.default_rng(0)
    added = [pool.add(rng.uniform(-0.5, 0.5, round(s * 16_000)).astype(np.float32)) for s in SECONDS]
    pool.extract(tiny, added)
    return added


def test_profiles_rise_from_zero_to_about_guessing(tiny: Wav2Vec2ForPreTraining, pool: Pool, clips: list[Clip]) -> None:
    profiles = masked_loss_profiles(tiny, pool, clips, seed=0)
    assert profiles.shape == (len(clips), QUANTILES)
    assert (np.diff(profiles, axis=1) >= 0).all()
    assert (profiles[0] == 0).all()  # too short
    assert (profiles[1:, -1] > 0).all()
    assert profiles.max() < np.log(NEGATIVES + 1) + 20  # cosines over 0.1 can't be wrong by more than 20 nats


def test_a_profile_depends_on_seed_and_clip_alone(tiny: Wav2Vec2ForPreTraining, pool: Pool, clips: list[Clip]) -> None:
    together = masked_loss_profiles(tiny, pool, clips, seed=0)
    backwards = masked_loss_profiles(tiny, pool, clips[::-1], seed=0)
    alone = np.concatenate([masked_loss_profiles(tiny, pool, [clip], seed=0) for clip in clips])
    np.testing.assert_allclose(together, backwards[::-1], atol=1e-4)
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert np.abs(together[1:] - masked_loss_profiles(tiny, pool, clips, seed=1)[1:]).max() > 1e-2


def test_training_mode_has_no_say(tiny: Wav2Vec2ForPreTraining, pool: Pool, clips: list[Clip]) -> None:
    before = masked_loss_profiles(tiny, pool, clips, seed=0)
    tiny.train()
    np.testing.assert_array_equal(masked_loss_profiles(tiny, pool, clips, seed=0), before)
    assert not tiny.training


def test_reports_progress_and_stops_when_told(tiny: Wav2Vec2ForPreTraining, pool: Pool, clips: list[Clip]) -> None:
    seen: list[tuple[str, int, int]] = []
    masked_loss_profiles(tiny, pool, clips, seed=0, progress=lambda *report: seen.append(report))
    assert seen[-1] == ("surprisal", len(clips), len(clips))

    def cancel(_stage: str, _done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        masked_loss_profiles(tiny, pool, clips, seed=0, progress=cancel)


def test_nothing_to_measure(tiny: Wav2Vec2ForPreTraining, tmp_path: Path) -> None:
    assert masked_loss_profiles(tiny, Pool(tmp_path), [], seed=0).shape == (0, QUANTILES)
