"""A look at a project as the checks want it, and what they find."""

import shutil
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from aftertone.doctor.disk import needed
from aftertone.doctor.facts import Look
from aftertone.labelstudio.tasks import Snapshot
from aftertone.pipeline.dataset import Dataset
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore
from aftertone.store.records import Connection, DiskUse, HeldOut
from aftertone.store.state import State


def look_at(
    store: ProjectStore,
    snapshot: Snapshot,
    dataset: Dataset,
    state: State,
    settings: Settings,
    connection: Connection,
    **more: Any,
) -> Look:
    """What the checks look at.

    Args:
        settings: with the project's options.
        more: further fields of a Look, where somebody asked for them.
    """
    published = set(state.queue.published) if state.queue is not None else set()
    held = {task.source: state.sources[task.source] for task in snapshot.tasks.values() if task.source in state.sources}
    on_queue = [dataset.entries[clip.id].tasks[0] in published for clip in dataset.open_clips]
    return Look(
        settings=settings,
        snapshot=snapshot,
        state=state,
        **{
            "url": connection.url,
            "options": connection.extra_params,
            "others": len(connection.others),
            "clips": len(dataset.entries),
            "lacking": dataset.lacking,
            "failed": dataset.failed,
            "short_regions": dataset.too_short,
            "several": sum(row.channels > 1 for row in held.values()),
            "differing": sum(row.differ for row in held.values()),
            "unknown_labels": dataset.labels_not_in_config(),
            "speakers": _speakers(dataset),
            "queue_left": sum(on_queue),
            "queue_behind": len(on_queue) - sum(on_queue),
            "free": shutil.disk_usage(store.folder).free if store.folder.exists() else None,
            "needed": needed(store.read(DiskUse), len(state.sources), len(dataset.missing)),
            "old_split": all((store.folder / file).is_file() for file in (HeldOut.FILE, HeldOut.OLD_FILE)),
            **more,
        },
    )


def _speakers(dataset: Dataset) -> Mapping[str, Counter[int]]:
    """How often each speaker's clips are labelled as each class."""
    found: dict[str, Counter[int]] = {}
    for clip, label in dataset.labels.items():
        if (speaker := dataset.entry_of(clip).clip.speaker) is not None:
            found.setdefault(speaker, Counter())[int(np.argmax(label))] += 1
    return found
