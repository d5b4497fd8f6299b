"""The pool: one clip per content, frames computed once, and nothing lost to a kill."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.backbones.features import extract
from aftertone_model.data.pool import Pool
from aftertone_model.data.side_by_side import Apply, side_by_side
from aftertone_model.errors import DamagedFileError
from aftertone_model.runtime import Runtime


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return load_backbone("tiny")


def noise(seed: int, seconds: float = 0.3) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * 16_000)).astype(np.float32)


def test_a_clip_comes_back_as_it_was_added(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    clip = pool.add(noise(0, 0.5))
    assert clip.seconds == 0.5
    assert clip.speaker is None
    np.testing.assert_allclose(pool.waveform(clip.id), noise(0, 0.5), atol=1 / 65_000)


def test_the_same_audio_is_one_clip_also_after_reopening(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    first = pool.add(noise(0))
    assert pool.add(noise(0)) == first
    assert Pool(tmp_path).add(noise(0)) == first
    assert len(Pool(tmp_path)) == 1
    assert len((tmp_path / "index.tsv").read_text().splitlines()) == 1


def test_louder_than_full_scale_is_scaled_not_clipped(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    loud = noise(0) * 10
    np.testing.assert_allclose(pool.waveform(pool.add(loud).id), loud / np.abs(loud).max(), atol=1e-4)


def test_unknown_clips_are_unknown(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    assert "nothing" not in pool
    with pytest.raises(KeyError):
        pool.clip("nothing")


def test_what_another_process_adds_is_seen(tmp_path: Path) -> None:
    here, there = Pool(tmp_path), Pool(tmp_path)
    clip = there.add(noise(1))
    assert clip.id in here
    assert here.clip(clip.id) == clip


def test_a_line_torn_by_a_power_cut_is_made_again_from_the_clip(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    kept, torn = pool.add(noise(0)), pool.add(noise(1))
    index = tmp_path / "index.tsv"
    index.write_bytes(index.read_bytes()[:-6])
    reopened = Pool(tmp_path)
    assert kept.id in reopened
    assert reopened.clip(torn.id) == torn
    later = reopened.add(noise(2))
    assert reopened.add(noise(1)) == torn
    assert all(clip.id in Pool(tmp_path) for clip in (kept, torn, later))


def test_frames_are_computed_once_per_cnn(tmp_path: Path, tiny: Backbone) -> None:
    pool = Pool(tmp_path)
    clips = [pool.add(noise(seed)) for seed in range(3)]
    extract(tiny, clips[:2], Runtime(pool=pool))
    cnn = tiny.fingerprint
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "features").rglob("*.npy")}
    stages: list[tuple[str, int, int]] = []
    extract(tiny, clips, Runtime(pool=pool, progress=lambda *stage: stages.append(stage)))
    assert stages[-1] == ("extract", 1, 1)
    assert all(file.stat().st_mtime_ns == then for file, then in files.items())
    frames = pool.frames(cnn, clips[2])
    assert isinstance(frames, np.memmap)
    assert not frames.flags.writeable
    np.testing.assert_array_equal(frames, tiny.encode(pool.waveform(clips[2].id)))


def test_a_cancelled_extraction_leaves_whole_files_only_and_goes_on(
    tmp_path: Path, tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(tmp_path)
    clips = [pool.add(noise(seed)) for seed in range(3)]

    def dies_on_its_way(_file: object, _array: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("aftertone_model.data.pool.np.save", dies_on_its_way)
        with pytest.raises(KeyboardInterrupt):
            extract(tiny, clips, Runtime(pool=pool))
    assert not [file for file in (tmp_path / "features").rglob("*") if file.is_file()]
    extract(tiny, clips, Runtime(pool=pool))
    assert all(len(pool.frames(tiny.fingerprint, clip)) for clip in clips)


@pytest.mark.parametrize("damage", [b"", b"no array", bytes(range(128, 256)) * 8])
def test_damaged_files_are_set_aside_and_made_again(tmp_path: Path, tiny: Backbone, damage: bytes) -> None:
    pool = Pool(tmp_path)
    clip = pool.add(noise(0))
    extract(tiny, [clip], Runtime(pool=pool))
    (frames,) = (tmp_path / "features").rglob("*.npy")
    frames.write_bytes(damage)
    with pytest.raises(DamagedFileError, match="computed again"):
        pool.frames(tiny.fingerprint, clip)
    extract(tiny, [clip], Runtime(pool=pool))
    assert len(pool.frames(tiny.fingerprint, clip))
    assert frames.with_name(f"{frames.name}.corrupt").read_bytes() == damage

    (samples,) = (tmp_path / "clips").rglob("*.npy")
    samples.write_bytes(damage)
    with pytest.raises(DamagedFileError) as raised:
        pool.waveform(clip.id)
    assert raised.value.clips == (clip.id,)
    assert pool.add(noise(0)) == clip
    assert len(pool.waveform(clip.id))


def test_samples_of_another_clip_are_noticed(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    clip = pool.add(noise(0))
    (samples,) = (tmp_path / "clips").rglob("*.npy")
    np.save(samples, np.zeros(4_800, np.int16))
    with pytest.raises(DamagedFileError):
        pool.waveform(clip.id)


@pytest.mark.parametrize("damage", [b"", b"4800\t\xff\xfe\n", bytes(range(128, 256))])
def test_a_damaged_index_is_made_again_from_the_clips(tmp_path: Path, damage: bytes) -> None:
    clips = [Pool(tmp_path).add(noise(seed)) for seed in range(3)]
    (tmp_path / "index.tsv").write_bytes(damage)
    with pytest.raises(DamagedFileError, match="made again from the clips"):
        Pool(tmp_path)
    pool = Pool(tmp_path)
    assert len(pool) == 3
    assert [pool.clip(clip.id) for clip in clips] == clips


def test_all_lost_and_garbled_clips_are_told_at_once_and_the_others_are_kept(tmp_path: Path, tiny: Backbone) -> None:
    pool = Pool(tmp_path)
    clips = [pool.add(noise(seed)) for seed in range(5)]
    files = {file.stem: file for file in (tmp_path / "clips").rglob("*.npy")}
    files[clips[0].id].unlink()
    files[clips[2].id].write_bytes(b"\0")
    files[clips[3].id].unlink()
    files[clips[3].id].mkdir()
    lost = {clips[0].id, clips[2].id, clips[3].id}
    with pytest.raises(DamagedFileError) as raised:
        extract(tiny, clips, Runtime(pool=pool))
    assert set(raised.value.clips) == lost
    assert {file.stem for file in (tmp_path / "features").rglob("*.npy")} == {clips[1].id, clips[4].id}
    for seed in range(5):
        pool.add(noise(seed))
    extract(tiny, clips, Runtime(pool=pool))
    assert all(len(pool.frames(tiny.fingerprint, clip)) for clip in clips)


def test_all_features_that_are_cut_short_are_set_aside_at_once(tmp_path: Path, tiny: Backbone) -> None:
    pool = Pool(tmp_path)
    clips = [pool.add(noise(seed)) for seed in range(4)]
    extract(tiny, clips, Runtime(pool=pool))
    files = sorted((tmp_path / "features").rglob("*.npy"))
    for file in files[:3]:
        file.write_bytes(file.read_bytes()[:-1])
    first = next(clip for clip in clips if clip.id == files[0].stem)
    with pytest.raises(DamagedFileError):
        pool.frames(tiny.fingerprint, first)
    assert [file for file in files if file.exists()] == files[3:]


def test_files_of_other_names_are_ignored(tmp_path: Path, tiny: Backbone) -> None:
    pool = Pool(tmp_path)
    clip = pool.add(noise(0))
    extract(tiny, [clip], Runtime(pool=pool))
    for folder in [tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())]:
        for name in (".DS_Store", "Thumbs.db", f"._{clip.id}.npy", f"{clip.id}.npy~"):
            (folder / name).write_bytes(b"\0")
    (tmp_path / "index.tsv").unlink()
    reopened = Pool(tmp_path)
    assert reopened.clip(clip.id) == clip
    assert list(reopened.clip_ids()) == [clip.id]
    extract(tiny, [clip], Runtime(pool=reopened))


def test_features_get_their_names_only_once_the_disk_has_them(
    tmp_path: Path, tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(tmp_path)
    clips = [pool.add(noise(seed)) for seed in range(3)]
    named: list[int] = []
    count = lambda folder: named.append(len(list((tmp_path / "features").rglob("*.npy"))))  # noqa: E731
    monkeypatch.setattr("aftertone_model.data.files.sync_file_system", count)
    monkeypatch.setattr("aftertone_model.data.pool.COMMIT_SECONDS", -1.0)
    extract(tiny, clips, Runtime(pool=pool))
    assert named == [0, 1, 2]
    assert len(list((tmp_path / "features").rglob("*.npy"))) == 3


def test_several_clips_at_once_give_the_same_features_and_errors(tmp_path: Path, tiny: Backbone) -> None:
    def features(folder: Path, apply: Apply) -> dict[str, bytes]:
        pool = Pool(folder)
        clips = [pool.add(noise(seed)) for seed in range(20)]
        damaged = clips[7]
        next(folder.rglob(f"{damaged.id}.npy")).write_bytes(b"no clip")
        with pytest.raises(DamagedFileError) as lost:
            pool.keep("features", tiny.encode, clips, apply=apply)
        assert lost.value.clips == (damaged.id,)
        return {path.name: path.read_bytes() for path in (folder / "features").rglob("*.npy")}

    before = torch.get_num_threads()
    torch.set_num_threads(3)  # tests run with one, which needs no others
    try:
        with side_by_side(torch.device("cpu")) as apply:
            used = set(apply(lambda _: threading.get_ident(), range(3)))
            several = features(tmp_path / "several", apply)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert threading.get_ident() not in used
    assert len(several) == 19
    assert several == features(tmp_path / "single", map)
