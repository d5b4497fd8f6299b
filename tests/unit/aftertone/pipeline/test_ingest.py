"""What one clip's failure costs, how far downloads run ahead, and what is asked again when."""

import errno
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, BinaryIO, cast

import numpy as np
import pytest

from aftertone.errors import AddressError, FetchError, FetchTimeoutError
from aftertone.labelstudio.tasks import Task
from aftertone.pipeline import ingest as module
from aftertone.pipeline.ingest import DOWNLOADS, HOST_TIMEOUTS, IN_WORK, ingest
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import FIRST_RETRY, LAST_RETRY, Source, Sources
from aftertone_model.data.decoders import Decoders, Heard
from aftertone_model.errors import AudioError, DecoderLostError
from aftertone_model.progress import silent
from tests.unit.aftertone.loops import MemoryLoop, decoders

ADDRESS = "http://host/secret-address.wav?key=s3cret"


class StubFetcher:
    """Writes the task's number, after having done something."""

    def __init__(self, do: Mapping[int, BaseException] | Callable[[int], None] | None = None) -> None:
        self._do = do or {}
        self.asked: list[int] = []

    def host(self, source: str) -> str:
        return source.partition("//")[2].partition("/")[0]

    def fetch(self, task: int, source: str, file: BinaryIO) -> None:
        self.asked.append(task)
        if callable(self._do):
            self._do(task)
        elif task in self._do:
            raise self._do[task]
        file.write(str(task).encode())


class StubDecoders:
    """Makes a clip of the task's number, after having done something."""

    def __init__(self, do: Callable[[int], None] = lambda task: None) -> None:
        self._do = do

    def hear(self, file: BytesIO, *, max_seconds: float, channel: str) -> Heard:
        file.seek(0)
        task = int(file.read())
        self._do(task)
        return Heard(samples=np.full(1_600, task / 1_000, np.float32))


@pytest.fixture
def store(settings: Settings) -> ProjectStore:
    project = Store(settings.model_dir).project(1)
    project.folder.mkdir(parents=True)
    return project


def run(
    store: ProjectStore,
    settings: Settings,
    fetcher: StubFetcher,
    decoders: StubDecoders | None = None,
    count: int = 5,
    address: str = "http://host/{}.wav",
    known: Mapping[str, Source] = {},
) -> dict[int, Source]:
    """Ingest tasks 1 to `count`; what became of each."""
    tasks = [Task(id=number, source=address.format(number)) for number in range(1, count + 1)]
    ingest(tasks, known, store, cast(Any, fetcher), cast(Any, decoders or StubDecoders()), settings, silent)
    sources = store.get(Sources).sources
    return {task.id: sources[task.source] for task in tasks}


@pytest.mark.parametrize(
    "error",
    [
        ValueError("Port out of range"), KeyError("location"), AttributeError("None"), RecursionError(),
        UnicodeEncodeError("utf-8", ADDRESS, 0, 1, "surrogates"), ZeroDivisionError(), OSError(errno.EINVAL, "seek"),
    ],
)  # fmt: skip
def test_whatever_is_raised_costs_one_clip_and_is_tried_again(
    store: ProjectStore, settings: Settings, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    found = run(store, settings, StubFetcher({2: error}))
    assert [number for number, source in found.items() if source.clip is None] == [2]
    assert (found[2].retry, found[2].tries) == (True, 1)
    assert type(error).__name__ in found[2].error
    assert "in fetch" in caplog.text  # where it happened
    assert "s3cret" not in caplog.text
    assert not list(store.folder.glob(".*")), "no scratch is left"


@pytest.mark.parametrize(
    "error",
    [MemoryError(), *(OSError(number, "x") for number in (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EMFILE))],
    ids=str,
)
def test_what_is_wrong_with_this_machine_stops_the_step(
    store: ProjectStore, settings: Settings, error: Exception
) -> None:
    with pytest.raises(type(error)):
        run(store, settings, StubFetcher({2: error}))
    assert "http://host/2.wav" not in store.get(Sources).sources


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (AudioError("It is empty."), False),
        (AddressError("Not allowed."), False),
        (FetchError("It sleeps."), True),
        (DecoderLostError("It took too long."), True),
    ],
)
def test_only_what_may_go_better_is_tried_again(
    store: ProjectStore, settings: Settings, caplog: pytest.LogCaptureFixture, error: Exception, retry: bool
) -> None:
    caplog.set_level(logging.WARNING)
    found = run(store, settings, StubFetcher({1: error}))
    assert (found[1].retry, found[1].error) == (retry, str(error))
    assert "Traceback" not in caplog.text


def test_each_failure_doubles_the_time_to_the_next_attempt_up_to_a_day(store: ProjectStore, settings: Settings) -> None:
    known: Mapping[str, Source] = {}
    waits = []
    for _ in range(10):
        run(store, settings, StubFetcher({1: FetchError("It sleeps.")}), count=1, known=known)
        known = store.get(Sources).sources
        (source,) = known.values()
        waits.append(source.pause)
    assert waits[:3] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
    assert waits[-1] == LAST_RETRY
    run(store, settings, StubFetcher(), count=1, known=known)
    assert store.get(Sources).sources["http://host/1.wav"].tries == 0
    assert Source(error="x", retry=True, at=5.0).pause == FIRST_RETRY  # as an earlier version wrote it


def test_downloads_never_run_far_ahead_of_decoding(store: ProjectStore, settings: Settings) -> None:
    lock, counts, seen = threading.Lock(), Counter[str](), []
    enough = threading.Semaphore(0)

    def fetch(task: int) -> None:
        with lock:
            counts["fetched"] += 1
            seen.append(counts["fetched"] - counts["decoded"])
        enough.release()

    def decode(task: int) -> None:
        if counts["decoded"] == 0:
            for _ in range(IN_WORK):  # all that can be fetched has been
                assert enough.acquire(timeout=60)
        with lock:
            counts["decoded"] += 1

    lone = threading.Lock()

    def one_at_a_time(task: int) -> None:
        with lone:
            decode(task)

    run(store, settings, StubFetcher(fetch), StubDecoders(one_at_a_time), count=60)
    assert max(seen) == IN_WORK == 2 * DOWNLOADS


def test_a_host_that_times_out_is_put_off_and_others_go_on(store: ProjectStore, settings: Settings) -> None:
    def fetch(task: int) -> None:
        if task % 2:
            raise FetchTimeoutError("odd is too slow.")

    class Fetcher(StubFetcher):
        def host(self, source: str) -> str:
            return ("even", "odd")[int(source.rpartition("/")[2].removesuffix(".wav")) % 2]

    fetcher = Fetcher(fetch)
    found = run(store, settings, fetcher, count=60)
    assert all((source.clip is None) == bool(number % 2) for number, source in found.items())
    assert HOST_TIMEOUTS <= sum(number % 2 for number in fetcher.asked) < HOST_TIMEOUTS + DOWNLOADS
    put_off = found[59]
    assert "put off" in put_off.error
    assert (put_off.retry, put_off.tries) == (True, 1)


def test_a_host_that_times_out_now_and_then_is_asked_on(
    store: ProjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DOWNLOADS", 1)

    def fetch(task: int) -> None:
        if len(fetcher.asked) % HOST_TIMEOUTS:
            raise FetchTimeoutError("It is too slow.")

    fetcher = StubFetcher(fetch)
    run(store, settings, fetcher, count=12)
    assert len(fetcher.asked) == 12


def test_hostile_files_cost_their_clips(store: ProjectStore, settings: Settings) -> None:
    class Files(StubFetcher):
        def fetch(self, task: int, source: str, file: BinaryIO) -> None:
            file.write(b"ffconcat version 1.0\nfile '/etc/hostname'\n" if task == 1 else b"RIFF" + bytes(60))

    assert isinstance(decoders(), Decoders)
    found = run(store, settings, Files(), cast(Any, decoders()), count=2)
    assert all("not audio" in source.error and not source.retry for source in found.values())


def test_an_address_with_half_a_character_is_one_unusable_clip(make_loop: Callable[..., MemoryLoop]) -> None:
    loop = make_loop(8)
    loop.label_studio.add_task(audio="ftp://b/\ud800.wav")
    loop.advance()
    loop.check_queue()
    (bad,) = (source for url, source in loop.store.get(Sources).sources.items() if url.startswith("ftp"))
    assert bad.clip is None
