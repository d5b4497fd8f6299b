"""Bringing a project's audio into the pool: fetch, decode, remember what became of each address."""

import errno
import logging
import threading
import time
import traceback
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from itertools import islice
from tempfile import TemporaryFile
from typing import BinaryIO

from aftertone.errors import AddressError, FetchError, FetchTimeoutError
from aftertone.faults import DISK
from aftertone.labelstudio.audio_hosts import refused_host
from aftertone.labelstudio.download import Fetcher
from aftertone.labelstudio.tasks import Task
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore
from aftertone.store.records import HeldOut, Source, Sources
from aftertone_model.data.channels import Channel
from aftertone_model.data.decoders import Decoders, Heard
from aftertone_model.errors import AudioError, DecoderLostError
from aftertone_model.progress import Progress, throttled

log = logging.getLogger(__name__)

DOWNLOADS = 4  # at a time: enough to hide waiting, few enough not to slow the annotators' server
IN_WORK = 2 * DOWNLOADS  # clips that are fetched, wait for their decoding or are decoded
HOST_TIMEOUTS = 3  # in a row, after which the rest of a host's audio is put off
SAVE_SECONDS = 5.0  # of work that a kill may cost
MACHINE = {*DISK, errno.ENOMEM, errno.EAGAIN, errno.ENFILE, errno.ENOENT}
"""Errors of this machine, its disk and its rights: no clip's fault, and no other clip would fare better."""


def ingest(
    tasks: Sequence[Task],
    known: Mapping[str, Source],
    store: ProjectStore,
    fetcher: Fetcher,
    decoders: Decoders,
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
    moved: dict[str, str] = {}  # clip that an address had -> clip that it has now
    work = _Work(store, fetcher, decoders, settings)
    saved = time.monotonic()
    try:
        with closing(work.on(list(wanted.values()))) as outcomes:
            for done, (task, outcome) in enumerate(outcomes, 1):
                if isinstance(outcome, Exception):
                    before = sources.get(task.source, Source())
                    failure = _failure(task, outcome, before.tries + 1)
                    sources[task.source] = failure.model_copy(update={"channel": settings.channel})
                else:
                    clip = pool.add(outcome.samples)
                    if (old := known.get(task.source, Source()).clip) is not None:
                        moved[old] = clip.id
                    sources[task.source] = Source(
                        clip=clip.id, seconds=clip.seconds, at=time.time(), channel=settings.channel,
                        channels=outcome.channels, differ=outcome.differ,
                    )  # fmt: skip
                if time.monotonic() - saved > SAVE_SECONDS:
                    _save(store, sources, moved)
                    saved = time.monotonic()
                progress("fetch", done, len(wanted))
    finally:
        _save(store, sources, moved)


def _save(store: ProjectStore, sources: dict[str, Source], moved: Mapping[str, str]) -> None:
    """Save what became of the addresses. A clip that is heard anew keeps its side of the test split."""
    split = store.get(HeldOut).clips
    if kept := {new: split[old] for old, new in moved.items() if old in split and new not in split}:
        store.save(HeldOut(clips={**split, **kept}))
    store.save(Sources(sources=sources))


class _Work:
    """The clips in work: a few at a time, so that downloads never run far ahead of what is decoded."""

    def __init__(self, store: ProjectStore, fetcher: Fetcher, decoders: Decoders, settings: Settings) -> None:
        self._folder, self._fetcher, self._decoders = store.folder, fetcher, decoders
        self._max_seconds = settings.max_clip_seconds
        self._channel: Channel = settings.channel
        self._turns = threading.Semaphore(DOWNLOADS)
        self._timeouts: Counter[str] = Counter()  # host -> time-outs in a row

    def on(self, tasks: Sequence[Task]) -> Generator[tuple[Task, Heard | Exception]]:
        """What becomes of each task's audio, as it is done: what was heard, or why nothing was.

        Raises:
            OSError: this machine can't do the work; or MemoryError.
        """
        waiting = iter(tasks)
        futures: dict[Future[Heard], Task] = {}
        threads = ThreadPoolExecutor(IN_WORK, thread_name_prefix="download")
        try:
            while True:
                for task in islice(waiting, IN_WORK - len(futures)):
                    futures[threads.submit(self._clip, task)] = task
                if not futures:
                    return
                for future in wait(futures, return_when=FIRST_COMPLETED).done:
                    task, error = futures.pop(future), future.exception()
                    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in MACHINE):
                        raise error
                    yield task, error if isinstance(error, Exception) else future.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _clip(self, task: Task) -> Heard:
        with TemporaryFile(dir=self._folder) as file:
            with self._turns:
                self._patiently_fetch(task, file)
            return self._decoders.hear(file, max_seconds=self._max_seconds, channel=self._channel)

    def _patiently_fetch(self, task: Task, file: BinaryIO) -> None:
        host = self._fetcher.host(task.source)
        if self._timeouts[host] >= HOST_TIMEOUTS:
            raise FetchError(
                f"{host} was too slow with other tasks' audio {HOST_TIMEOUTS} times in a row; this task's is put off."
            )
        try:
            self._fetcher.fetch(task.id, task.source, file)
        except FetchTimeoutError:
            self._timeouts[host] += 1
            raise
        self._timeouts[host] = 0


def _failure(task: Task, error: Exception, tries: int) -> Source:
    if isinstance(error, AudioError | AddressError | FetchError):
        reason = str(error)
        log.warning("Task %d: %s", task.id, reason, extra={"action": "clip_refused", "task": task.id})
    else:
        reason = f"Something unexpected failed ({type(error).__name__}). It is tried again; the worker's log says more."
        where = "".join(traceback.format_tb(error.__traceback__))  # its message may hold the address
        log.error("Task %d: %s\n%s", task.id, reason, where, extra={"action": "clip_failed", "task": task.id})
    final = isinstance(error, AudioError | AddressError) and not isinstance(error, DecoderLostError)
    final = final and refused_host(reason) is None  # which the operator may allow
    return Source(error=reason, retry=not final, at=time.time(), tries=tries)
