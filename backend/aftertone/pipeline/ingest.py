"""Bringing a project's audio into the pool: fetch, decode, remember what became of each address."""

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from aftertone.errors import AddressError, FetchError
from aftertone.labelstudio.download import Fetcher
from aftertone.labelstudio.tasks import Task
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore
from aftertone.store.records import Source, Sources
from aftertone_model.data.audio import decode
from aftertone_model.errors import AudioError
from aftertone_model.progress import Progress, throttled

log = logging.getLogger(__name__)

DOWNLOADS = 4  # at a time: enough to hide waiting, few enough not to slow the annotators' server
SAVE_SECONDS = 5.0  # of work that a kill may cost


def ingest(
    tasks: Sequence[Task],
    known: Mapping[str, Source],
    store: ProjectStore,
    fetcher: Fetcher,
    settings: Settings,
    progress: Progress,
) -> None:
    """Fetch and decode the tasks' audio into the pool. One bad clip costs one clip: its reason is remembered.

    Args:
        tasks: tasks whose audio isn't in the pool yet, or may be tried again; several may share an address.
        known: what became of each audio address so far.
    """
    sources, progress = dict(known), throttled(progress)
    pool = store.pool
    wanted = {task.source: task for task in tasks}
    saved = time.monotonic()
    with ThreadPoolExecutor(DOWNLOADS, thread_name_prefix="download") as downloads:
        futures = {downloads.submit(fetcher.fetch, task.id, url): url for url, task in wanted.items()}
        try:
            for done, future in enumerate(as_completed(futures), 1):
                url = futures.pop(future)
                try:
                    clip = pool.add(decode(future.result(), max_seconds=settings.max_clip_seconds))
                    sources[url] = Source(clip=clip.id, seconds=clip.seconds, at=time.time())
                except (AudioError, AddressError, FetchError) as error:
                    retry = not isinstance(error, AudioError)
                    sources[url] = Source(error=str(error), retry=retry, at=time.time())
                    log.warning(
                        "Task %d: %s", wanted[url].id, error, extra={"action": "clip_refused", "task": wanted[url].id}
                    )
                if time.monotonic() - saved > SAVE_SECONDS:
                    store.save(Sources(sources=sources))
                    saved = time.monotonic()
                progress("fetch", done, len(wanted))
        finally:
            downloads.shutdown(wait=False, cancel_futures=True)
            store.save(Sources(sources=sources))
