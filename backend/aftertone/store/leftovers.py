"""What lies in a project's folder and isn't needed: what kills left, old damage, and what was made for what has gone.

For whoever is alone for the project, as its job is.
"""

import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from aftertone.store.exports import FOLDER as EXPORTS
from aftertone.store.exports import KEPT_SECONDS, LOCK, MAKING, ExportFolder
from aftertone.store.folder import RecordFolder
from aftertone.store.records import DiskUse
from aftertone.store.rounds import Draft
from aftertone_model.data.clips import CLIP_FILE
from aftertone_model.data.files import is_scratch, remove, set_aside
from aftertone_model.errors import DamagedFileError

WRITING_SECONDS = 60.0  # for which the server or a command may still be at work on a file of its own
CORRUPT_SECONDS = 28 * 86_400.0  # for which a damaged file is kept

NAME, FAN = "[0-9a-f]" * 16, "[0-9a-f]" * 2
PLACES = (
    "",
    "adapted.part",
    "next",
    "rounds",
    "rounds/*",
    "pool",
    "pool/layers/*",
    "source-pool",
)  # of scratch, but for single clips
MADE_AGAIN = "What was in the folder is made again, and audio fetched again, as it is needed."
FOLDERS = {
    "adapted": "The backbone is adapted again.",
    "adapted.part": "The backbone's adaptation begins anew.",
    "next": Draft.AFTER_DAMAGE,
    "rounds": "All rounds are lost: restore the folder from a backup, or the loop begins anew with today's labels.",
    "rounds/[0-9][0-9][0-9]": "The round is lost: restore its folder from a backup, or the loop goes on without it.",
    **dict.fromkeys(
        [
            "pool", "pool/clips", f"pool/clips/{FAN}", "pool/features", f"pool/features/{NAME}",
            f"pool/features/{NAME}/{FAN}", "pool/layers", f"pool/layers/{NAME}",
        ],
        MADE_AGAIN,
    ),
}  # fmt: skip
"""Folders of a project, and what follows where a file lies in place of one."""


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A file or folder that may go."""

    path: Path
    why: str  # what it is, for people
    clip: str = ""  # id of the clip that it is, if it is one


def tidy(store: RecordFolder) -> None:
    """Remove what kills left of writing, and set files aside that lie where folders belong; quick on any pool."""
    now = time.time()
    for place in PLACES:
        for path in store.folder.glob(f"{place}/.*.*".lstrip("/")):
            if _abandoned(path, now):
                with store.guard():  # for who was stopped here for long, a successor's work looks abandoned
                    remove(path)
    with store.guard():
        if (store.folder / "adapted/adaptation.json").is_file():
            remove(store.folder / "adapted.part")
    for pattern, after in FOLDERS.items():
        for path in store.folder.glob(pattern):
            if path.is_file():
                with store.guard():
                    set_aside(path)
                store.note_damage(DamagedFileError(path, after))


def find_leftovers(
    folder: Path, *, clips: Collection[str] | None, features: str | None, layers: str | None, now: float
) -> Iterator[Leftover]:
    """What may go from a project's folder. Lists every file of it, which takes seconds on 100,000 clips.

    Args:
        folder: the project's.
        clips: ids of the clips that tasks refer to; None to leave clips alone.
        features: name of the present CNN's features; None to leave features alone.
        layers: the same of the present transformer's means.
        now: epoch seconds.
    """
    for kind, present in (("features", features), ("layers", layers)):
        for made in sorted((folder / "pool" / kind).glob(NAME)):
            if present is not None and made.name != present:
                yield Leftover(path=made, why=f"{kind} of an earlier backbone")
    busy = (folder / EXPORTS / MAKING).is_dir() and ExportFolder(RecordFolder(folder)).held
    if not busy:
        for path in sorted((folder / EXPORTS).glob("*")):
            if path.name != LOCK and abs(now - path.lstat().st_mtime) > KEPT_SECONDS:
                yield Leftover(path=path, why="export that was made days ago")
    for where, folders, files in os.walk(folder):
        if busy and Path(where) == folder:
            folders.remove(EXPORTS)  # somebody is at work there
        for name in (*folders, *files):
            path = Path(where, name)
            if name.endswith(".corrupt") and now - path.lstat().st_ctime > CORRUPT_SECONDS:
                yield Leftover(path=path, why="damaged, and set aside weeks ago")
            elif is_scratch(name) and _abandoned(path, now):
                yield Leftover(path=path, why="half written when a process was killed")
        folders[:] = [name for name in folders if not name.endswith(".corrupt") and not is_scratch(name)]
    if clips is not None:
        for path in (folder / "pool").glob(f"clips/{FAN}/*.npy"):
            if path.stem not in clips and CLIP_FILE.fullmatch(path.name):
                yield Leftover(path=path, why="clip that no task refers to", clip=path.stem)
                for kept in (folder / "pool").glob(f"features/{NAME}/{path.parent.name}/{path.name}"):
                    if features is None or features == kept.parts[-3]:
                        yield Leftover(path=kept, why="features of such a clip")


def measure(folder: Path, current: int | None, now: float) -> DiskUse:
    """How much disk a project's files take; lists them all."""
    sizes = dict.fromkeys(("pool", "features", "rounds", "adapted", "other"), 0)
    for where, _, files in os.walk(folder):
        parts = Path(where).relative_to(folder).parts
        kind = parts[0].partition(".")[0] if parts else "other"
        if kind == "pool" and parts[1:] and parts[1] in ("features", "layers"):
            kind = "features"
        sizes[kind if kind in sizes else "other"] += sum(size_on_disk(Path(where, file)) for file in files)
    return DiskUse(**sizes, at=now, current=current)


def size_on_disk(path: Path) -> int:
    """Bytes that a file or folder takes on the disk; 0 where it is gone."""
    if path.is_dir() and not path.is_symlink():
        return sum(size_on_disk(Path(where, file)) for where, _, files in os.walk(path) for file in files)
    try:
        return path.lstat().st_blocks * 512
    except FileNotFoundError:
        return 0


def _abandoned(path: Path, now: float) -> bool:
    """Whether it is scratch that nobody works on; its time may be ahead, by a clock that was."""
    try:
        return is_scratch(path.name) and abs(now - path.lstat().st_mtime) > WRITING_SECONDS
    except FileNotFoundError:
        return False
