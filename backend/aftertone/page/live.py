"""What moves while one looks: server-sent events, made from the times of a few small files."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from starlette.concurrency import run_in_threadpool

from aftertone.store.project import ProjectStore
from aftertone.store.records import Doing, Problem, Tasks, Warnings
from aftertone.store.requests import Steering
from aftertone.store.rounds import Extension

EVERY = 1.0  # seconds between two looks
LONGEST = 100.0  # seconds of a stream; the browser then opens another. Connections are closed at 120 s.
MOST = 32  # streams at a time


def marks(store: ProjectStore) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Times of the files that tell what happens now, and of those that change the rest of the page."""
    now = (Doing.FILE, Problem.FILE, Steering.FILE)
    rest = (
        Tasks.FILE,
        Warnings.FILE,
        Extension.FILE,
        Steering.FILE,
        "current",
        "rounds",
        "asked-next.json",
        "exports.json",
    )
    return tuple(store.written(file) for file in now), tuple(store.written(file) for file in rest)


async def events(store: ProjectStore, render_now: Callable[[], str]) -> AsyncIterator[str]:
    """Events `now`, with the HTML of what happens now, and `changed`, which says that the rest is out of date."""
    yield "retry: 2000\n\n"
    began, before = time.monotonic(), await run_in_threadpool(marks, store)
    yield _event("now", await run_in_threadpool(render_now))
    while time.monotonic() - began < LONGEST:
        await asyncio.sleep(EVERY)
        after = await run_in_threadpool(marks, store)
        if after[0] != before[0]:
            yield _event("now", await run_in_threadpool(render_now))
        if after[1] != before[1]:
            yield _event("changed", "")
        before = after


def _event(name: str, html: str) -> str:
    data = "\n".join(f"data: {line}" for line in html.splitlines() or [""])
    return f"event: {name}\n{data}\n\n"
