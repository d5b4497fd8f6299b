"""Giving disk back: what a project no longer needs goes after each round and once a day, or by `aftertone clean`."""

import logging
import time
from collections.abc import Sequence

from aftertone.store.clock import elapsed
from aftertone.store.leftovers import Leftover, find_leftovers, measure, size_on_disk
from aftertone.store.project import ProjectStore
from aftertone.store.records import DiskUse, Sources, Tasks
from aftertone_model.data.files import remove

log = logging.getLogger(__name__)

DAY = 86_400.0  # seconds between two prunings where no round is published


def prune_when_due(store: ProjectStore) -> None:
    """Prune, if annotators have got another round since the last time, or a day has gone by."""
    last = store.read(DiskUse)
    if last is None or last.current != store.current or elapsed(last.at, time.time()) >= DAY:
        prune(store, leftovers(store, cautious=True))


def leftovers(store: ProjectStore, *, cautious: bool) -> Sequence[Leftover]:
    """What the project no longer needs.

    Args:
        cautious: leave all clips alone where no more than half of them are in use: somebody may have deleted tasks by
            mistake, and thousands of files would be fetched again.
    """
    sources = store.get(Sources).sources
    tasks = store.get(Tasks).cache.tasks
    in_use = {sources[task.source].clip or "" for task in tasks if task.source in sources}
    on_disk = set(store.pool.clip_ids())
    # A task whose audio is still to be fetched may hold any of the clips, as after sources.json was lost.
    unknown = any(task.source not in sources or sources[task.source].retry for task in tasks if task.source)
    spared = not tasks or unknown or (cautious and 2 * len(on_disk & in_use) <= len(on_disk))
    features, layers = _present(store)
    found = find_leftovers(
        store.folder, clips=None if spared else in_use, features=features, layers=layers, now=time.time()
    )
    return list(found)


def prune(store: ProjectStore, found: Sequence[Leftover]) -> int:
    """Remove leftovers and count what the project takes. Returns the bytes that were freed."""
    gone = {leftover.clip for leftover in found if leftover.clip}
    freed = 0
    for leftover in found:
        size = size_on_disk(leftover.path)
        try:
            with store.guard():
                remove(leftover.path)
            freed += size
        except OSError as error:
            log.warning("%s can't be removed: %s", leftover.path, error, extra={"action": "leftover_kept"})
    if gone:  # last, because the disk may have had no room for it; a source whose clip isn't there is fetched again
        sources = store.get(Sources).sources
        store.save(Sources(sources={url: row for url, row in sources.items() if row.clip not in gone}))
    store.save(measure(store.folder, store.current, time.time()))
    if found:
        log.info("%s: %d MB freed", store.folder, freed / 1e6, extra={"action": "pruned"})
    return freed


def _present(store: ProjectStore) -> tuple[str | None, str | None]:
    """Names of the features of the adapted backbone's CNN and of its transformer's means; loads it only if need be."""
    made = [len(list((store.folder / "pool" / kind).glob("*"))) for kind in ("features", "layers")]
    if max(made) < 2 or not store.adapted.is_dir():
        return None, None
    from aftertone_model.backbones.backbone import load_backbone  # takes seconds
    from aftertone_model.classification.layer_cache import cache_name

    with store.loading_adapted():
        backbone = load_backbone(str(store.adapted))
    return backbone.fingerprint, cache_name(backbone)
