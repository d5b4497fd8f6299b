"""Surprisal: a clip's profile is its own, whoever it is measured with."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.config import TAPT_PROFILES
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.pretraining.masked_loss_profiles import QUANTILES, UNMEASURED, masked_loss_profiles
from aftertone_model.pretraining.masking import NEGATIVES
from aftertone_model.runtime import Runtime

MASKS = TAPT_PROFILES["standard"]
SECONDS = (0.05, 0.3, 0.5, 0.9, 1.4)  # the first is too short to be masked
LENGTH = 3  # seconds of made-up speech; clips of emotional speech last about as long


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return load_backbone("tiny")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def clips(pool: Pool, tiny: Backbone) -> list[Clip]:
    rng = np.random.default_rng(0)
    return [pool.add(rng.uniform(-0.5, 0.5, round(s * 16_000)).astype(np.float32)) for s in SECONDS]


def test_profiles_rise_from_zero_to_about_guessing(tiny: Backbone, pool: Pool, clips: list[Clip]) -> None:
    profiles = masked_loss_profiles(tiny, clips, MASKS, Runtime(pool=pool, seed=0))
    assert profiles.shape == (len(clips), QUANTILES)
    assert (np.diff(profiles, axis=1) >= 0).all()
    assert (profiles[0] == UNMEASURED).all()  # too short
    assert (profiles[1:] >= 0).all()
    assert (profiles[1:, -1] > 0).all()
    assert profiles.max() < np.log(NEGATIVES + 1) + 20  # cosines over 0.1 can't be wrong by more than 20 nats


def test_a_profile_depends_on_seed_and_clip_alone(tiny: Backbone, pool: Pool, clips: list[Clip]) -> None:
    together = masked_loss_profiles(tiny, clips, MASKS, Runtime(pool=pool, seed=0))
    backwards = masked_loss_profiles(tiny, clips[::-1], MASKS, Runtime(pool=pool, seed=0))
    alone = np.concatenate([masked_loss_profiles(tiny, [clip], MASKS, Runtime(pool=pool, seed=0)) for clip in clips])
    np.testing.assert_allclose(together, backwards[::-1], atol=1e-4)
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert np.abs(together[1:] - masked_loss_profiles(tiny, clips, MASKS, Runtime(pool=pool, seed=1))[1:]).max() > 1e-2


def speechlike(rng: np.random.Generator) -> NDArray[np.float32]:
    """Syllables of harmonics and noise, as many and as loud as chance will have it; as long as clips of speech are."""
    count = 16_000 * LENGTH
    time = np.arange(count) / 16_000
    pitch = np.interp(time, np.linspace(0, LENGTH, 4 * LENGTH), rng.uniform(90, 350, 4 * LENGTH))
    phase = 2 * np.pi * np.cumsum(pitch) / 16_000
    voice = sum(np.sin(h * phase) * rng.uniform(0, 1 / h) for h in range(1, 20))
    syllables = np.sin(np.pi * rng.uniform(1, 7) * time) ** 2
    wave = syllables * voice + rng.uniform(0, 0.3) * rng.normal(size=count)
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)


@pytest.mark.slow
def test_profiles_of_two_seeds_agree_on_which_clips_are_alike(tmp_path: Path) -> None:
    """They are to tell of the clips, not of the masks; one mask alone gave a correlation of 0.2."""
    rng, pool = np.random.default_rng(0), Pool(tmp_path)
    clips = [pool.add(speechlike(rng)) for _ in range(24)]
    mini = load_backbone("aftertone-mini")
    first, second = (
        masked_loss_profiles(mini, clips, TAPT_PROFILES["brief"], Runtime(pool=pool, seed=seed)) for seed in (0, 1)
    )
    distances = [pdist(rows / np.linalg.norm(rows, axis=1, keepdims=True)) for rows in (first, second)]
    assert np.corrcoef(distances)[0, 1] >= 0.8


def test_a_clip_of_one_code_is_measured_all_the_same(tiny: Backbone, pool: Pool) -> None:
    silence = pool.add(np.zeros(16_000, np.float32))
    profile = masked_loss_profiles(tiny, [silence], MASKS, Runtime(pool=pool, seed=0))
    assert (profile >= 0).all()


def test_training_mode_has_no_say(tiny: Backbone, pool: Pool, clips: list[Clip]) -> None:
    before = masked_loss_profiles(tiny, clips, MASKS, Runtime(pool=pool, seed=0))
    tiny.model.train()
    np.testing.assert_array_equal(masked_loss_profiles(tiny, clips, MASKS, Runtime(pool=pool, seed=0)), before)
    assert not tiny.model.training


def test_reports_progress_and_stops_when_told(tiny: Backbone, pool: Pool, clips: list[Clip]) -> None:
    seen: list[tuple[str, int, int]] = []
    masked_loss_profiles(tiny, clips, MASKS, Runtime(pool=pool, progress=lambda *report: seen.append(report)))
    assert seen[-1] == ("surprisal", len(clips) - 1, len(clips) - 1)  # one is too short

    def cancel(_stage: str, _done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        masked_loss_profiles(tiny, clips, MASKS, Runtime(pool=pool, progress=cancel))


def test_nothing_to_measure(tiny: Backbone, tmp_path: Path) -> None:
    assert masked_loss_profiles(tiny, [], MASKS, Runtime(pool=Pool(tmp_path))).shape == (0, QUANTILES)
