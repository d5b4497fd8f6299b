"""What kills and damage leave is swept; nothing else is."""

import os
import time
from pathlib import Path

import pytest

from aftertone.errors import LeaseLostError
from aftertone.store.exports import ExportFolder
from aftertone.store.folder import RecordFolder
from aftertone.store.lease import LeaseRecord
from aftertone.store.leftovers import find_leftovers, measure, tidy
from aftertone.store.project import ProjectStore
from aftertone.store.records import Damage

HOUR = 3600.0
CLIP, OTHER = "0" * 24, "ab" * 12
CNN, OLD_CNN = "1" * 16, "2" * 16


def write(path: Path, age: float = HOUR) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("content")
    os.utime(path, (time.time() - age, time.time() - age))
    return path


SCRATCH = [
    ".tasks.json.0123abcd", "pool/.index.tsv.0123abcd", "rounds/.003.0123abcd", "rounds/001/.model.0123abcd",
    "next/.scores.csv.0123abcd", "adapted.part/.checkpoint.safetensors.0123abcd",
    f"pool/layers/{CNN}/.0f.npy.0123abcd",
]  # fmt: skip


@pytest.mark.parametrize("age", [HOUR, -10 * 365 * 24 * HOUR])
def test_scratch_of_kills_is_swept_and_nothing_else(tmp_path: Path, age: float) -> None:
    kept = [write(tmp_path / name) for name in (".bashrc", "tasks.json", ".#notes", "rounds/001/.round.json.old")]
    for name in SCRATCH:
        write(tmp_path / name, age)
    write(tmp_path / ".next.0123abcd" / "model" / "weights")
    os.utime(tmp_path / ".next.0123abcd", (time.time() - age, time.time() - age))
    tidy(RecordFolder(tmp_path))
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_what_the_server_may_be_writing_now_is_left(tmp_path: Path) -> None:
    new = write(tmp_path / ".connection.json.0123abcd", age=5.0)
    tidy(RecordFolder(tmp_path))
    assert new.exists()


@pytest.mark.parametrize("name", [".next.0123abcd/weights", "adapted.part/checkpoint.safetensors", "rounds"])
def test_who_lost_the_lease_sweeps_nothing(tmp_path: Path, name: str) -> None:
    with ProjectStore(tmp_path).only_writer() as late:
        assert late is not None
        write(tmp_path / LeaseRecord.FILE)  # as a successor does
        os.utime(write(tmp_path / name).parent, (0, 0))
        write(tmp_path / "adapted" / "adaptation.json")
        with pytest.raises(LeaseLostError):
            tidy(late)
        assert (tmp_path / name).exists()


def test_a_checkpoint_goes_once_its_backbone_is_there(tmp_path: Path) -> None:
    checkpoint = write(tmp_path / "adapted.part" / "checkpoint.safetensors")
    tidy(RecordFolder(tmp_path))
    assert checkpoint.exists()
    write(tmp_path / "adapted" / "adaptation.json")
    tidy(RecordFolder(tmp_path))
    assert not (tmp_path / "adapted.part").exists()


def test_a_file_in_a_folders_place_is_set_aside_and_told(tmp_path: Path) -> None:
    store = RecordFolder(tmp_path)
    write(tmp_path / "rounds" / "002")
    write(tmp_path / "rounds" / "2")
    tidy(store)
    assert (tmp_path / "rounds" / "002.corrupt").exists()
    assert (tmp_path / "rounds" / "2").exists()
    assert store.get(Damage).files == {"rounds/002": "The round is lost: restore its folder from a backup, or the loop "
                                       "goes on without it."}  # fmt: skip


def test_what_is_not_needed_is_found_and_what_is_stays(tmp_path: Path) -> None:
    kept = [
        write(tmp_path / f"pool/clips/00/{CLIP}.npy"), write(tmp_path / f"pool/features/{CNN}/00/{CLIP}.npy"),
        write(tmp_path / f"pool/layers/{CNN}/0f.npy"), write(tmp_path / "pool/clips/ab/notes.npy"),
        write(tmp_path / "pool/index.tsv"), write(tmp_path / "rounds/001/scores.csv.corrupt"),
        write(tmp_path / "pool/features/.DS_Store"), write(tmp_path / "test-split.json"),
    ]  # fmt: skip
    gone = [
        write(tmp_path / f"pool/clips/ab/{OTHER}.npy"), write(tmp_path / f"pool/features/{CNN}/ab/{OTHER}.npy"),
        write(tmp_path / f"pool/clips/00/.{CLIP}.npy.0123abcd"),
    ]  # fmt: skip
    write(tmp_path / f"pool/features/{OLD_CNN}/ab/{OTHER}.npy")
    write(tmp_path / f"pool/layers/{OLD_CNN}/0f.npy")
    old = [tmp_path / "pool" / kind / OLD_CNN for kind in ("features", "layers")]
    now = time.time()
    found = find_leftovers(tmp_path, clips={CLIP}, features=CNN, layers=CNN, now=now)
    assert sorted(one.path for one in found) == sorted([*gone, *old])
    unsure = find_leftovers(tmp_path, clips=None, features=None, layers=None, now=now)
    assert [one.path for one in unsure] == gone[2:]
    weeks_later = find_leftovers(tmp_path, clips=None, features=None, layers=None, now=now + 29 * 24 * HOUR)
    assert tmp_path / "rounds/001/scores.csv.corrupt" in {one.path for one in weeks_later}
    assert all(path.exists() for path in (*kept, *gone))  # finding removes nothing


def test_disk_use_is_counted_by_what_it_is_for(tmp_path: Path) -> None:
    for name in ("pool/clips/00/a.npy", "pool/features/f/00/a.npy", "rounds/001/round.json", "adapted/x", "tasks.json"):
        write(tmp_path / name)
    use = measure(tmp_path, 1, 7.0)
    assert min(use.pool, use.features, use.rounds, use.adapted, use.other) > 0
    assert (use.at, use.current) == (7.0, 1)


def test_old_archives_go_unless_one_is_being_made(tmp_path: Path) -> None:
    old, new = (write(tmp_path / "exports" / f"{age}.zip", age) for age in (25 * HOUR, 23 * HOUR))
    killed = write(tmp_path / "exports" / "making" / "weights", 25 * HOUR)
    os.utime(killed.parent, (0, 0))

    def gone() -> set[Path]:
        found = find_leftovers(tmp_path, clips=None, features=None, layers=None, now=time.time())
        return {one.path for one in found}

    assert gone() == {old, killed.parent}
    exports = ExportFolder(RecordFolder(tmp_path))
    exports.begin("transformers", 1, "round-1", time.time())  # or the project counts as forgotten
    with exports.making() as folder:
        os.utime(write(folder / ".model.0123abcd" / "weights").parent, (0, 0))
        assert gone() == set()
    assert gone() == {old}
    assert new.exists()
