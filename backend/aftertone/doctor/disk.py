"""How much disk is free, and how much the steps to come may need."""

import shutil
from pathlib import Path

from aftertone.store.records import DiskUse

LEAST_FREE = 100_000_000  # bytes that a step may need on any project
ADAPTING = 5  # times the backbone's size: checkpoint with its optimiser, the adapted backbone and a round's model


def free(folder: Path) -> int:
    """Bytes that are free where a folder is, or will be."""
    return shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists())).free


def needed(disk: DiskUse | None, fetched: int, unfetched: int) -> int:
    """Bytes that the steps to come may take, by what those before took.

    Args:
        disk: as last counted.
        fetched: audio addresses that were tried so far.
        unfetched: tasks whose audio nobody has tried to fetch yet.
    """
    if disk is None:
        return LEAST_FREE
    per_clip = (disk.pool + disk.features) / max(fetched, 1)
    return max(LEAST_FREE, ADAPTING * disk.adapted + round(per_clip * unfetched))


def size(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
