"""The one job queue: RQ on Redis, an embedded one when none is set.

What it holds are hints, and any of them may be lost: who may write to a project is decided by the store, and each
project has an alarm, which workers set anew. So Redis may be stopped, be full, or start again empty at any time.
"""

import logging
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from urllib.parse import quote

from redis import AuthenticationError, OutOfMemoryError, Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from aftertone.errors import SettingsError
from aftertone.pipeline.embedded_redis import address

log = logging.getLogger(__name__)

NAME = "aftertone"
JOB = "aftertone.pipeline.worker.advance"
ALARMS = "aftertone:alarms"  # sorted set: project -> epoch seconds at which to wake it
CHECKED = "aftertone:checked"
WAITING_SECONDS = 600  # after which a wake-up that was lost between queue and worker no longer hides new ones
ANSWER_SECONDS = 1.0  # that Redis has to answer while Label Studio waits for us
RETRY_SECONDS = 1.0  # between attempts to reach it again
ADVICE = "Start it, correct the address, or unset REDIS_URL to use the embedded one."


@dataclass(frozen=True, kw_only=True)
class Degraded:
    """Something that keeps projects from being worked on."""

    what: str  # a sentence for operators
    since: datetime


class JobQueue:
    """The queue that workers listen on."""

    def __init__(self, connection: Redis, name: str = NAME) -> None:
        self.connection = connection
        self.queue = Queue(name, connection=connection, default_timeout=-1, serializer=JSONSerializer)
        self._lock = threading.Lock()
        self._untold: dict[int, float] = {}  # project -> epoch seconds at which to wake it; 0: at once
        self._away: Degraded | None = None  # since Redis was last heard of
        self._workerless: datetime | None = None  # since no worker was seen

    @classmethod
    def connect(cls, redis_url: str, model_dir: Path, *, answer_seconds: float = ANSWER_SECONDS) -> "JobQueue":
        """The queue on this process's own connection, which is made when it is first needed, and again after a loss.

        Args:
            redis_url: address of Redis; '': the embedded one of `model_dir`, whether it runs or not.
            answer_seconds: how long Redis may take to answer before it counts as away.

        Raises:
            SettingsError: REDIS_URL isn't an address.
        """
        try:
            return cls(
                Redis.from_url(
                    redis_url or f"unix://{quote(address(model_dir))}",
                    socket_connect_timeout=answer_seconds,
                    socket_timeout=answer_seconds,
                    retry=Retry(NoBackoff(), 1),  # at once, on a new connection in place of one that was lost
                )
            )
        except ValueError:  # its text may hold a part of the password
            raise SettingsError(
                "REDIS_URL isn't an address of Redis. It looks like redis://:password@host:6379/0, where other "
                "characters of the password than letters and digits are written as %XX."
            ) from None

    def check(self) -> None:
        """Make sure that Redis answers.

        Raises:
            SettingsError: it doesn't.
        """
        try:
            self.connection.ping()
        except AuthenticationError as error:
            raise SettingsError(f"Redis refuses the password in REDIS_URL ({error}). Correct it.") from None
        except RedisError as error:
            raise SettingsError(f"Redis doesn't answer at REDIS_URL ({error}). {ADVICE}") from None

    # -- waking ----------------------------------------------------------------------------------------------------

    def wake(self, project: int, after: float = 0.0) -> None:
        """Ask for an `advance` of the project: now, or after some seconds. A wake-up that already waits is enough.

        Never fails: what Redis can't be told now is told as soon as it can.
        """
        due = time.time() + after if after > 0 else 0.0
        with self._lock:
            self._untold[project] = min(due, self._untold.get(project, due))
        if self._away is None:
            try:
                self._tell_all()
            except RedisError as error:
                self._note_away(error)

    def tell(self, project: int, due: float = 0.0) -> None:
        """As `wake`, at `due` in epoch seconds, but tried once.

        Raises:
            RedisError: Redis can't be told.
        """
        if due:
            self.connection.zadd(ALARMS, {str(project): due}, lt=True)
        elif self.connection.set(_waiting(project), 1, nx=True, ex=WAITING_SECONDS):
            try:
                self.queue.enqueue(JOB, project, result_ttl=0, failure_ttl=0, job_timeout=-1)
            except RedisError:
                with suppress(RedisError):
                    self.wake_taken(project)  # there is none: a Redis that is nearly full took the mark alone
                raise

    def depth(self) -> int:
        """How many projects wait for a worker.

        Raises:
            RedisError: Redis can't be asked.
        """
        return self.queue.count

    def wake_taken(self, project: int) -> None:
        """A worker has taken the wake-up: from here on a change needs a new one."""
        self.connection.delete(_waiting(project))

    # -- alarms ----------------------------------------------------------------------------------------------------

    def set_alarms(self, projects: Iterable[int], within: float) -> None:
        """See to it that each project is woken within so many seconds, whatever Redis has forgotten."""
        due = time.time() + within
        if alarms := {str(project): due for project in projects}:
            self.connection.zadd(ALARMS, alarms, lt=True)  # only those that have none, or a later one

    def ring(self) -> None:
        """Wake the projects whose alarm is due."""
        for raw in self.connection.zrangebyscore(ALARMS, 0, time.time()):
            project = int(cast(bytes, raw))
            if self.connection.zrem(ALARMS, str(project)):  # one worker's ring is enough
                self.tell(project)

    # -- health ----------------------------------------------------------------------------------------------------

    def health(self) -> list[Degraded]:
        """What keeps projects from being worked on, as far as the queue can know; [] when all is well."""
        if self._away is None:
            try:
                self.connection.set(CHECKED, 1, ex=60)  # a write: one that is full still answers
                keys = Worker.all_keys(queue=self.queue)
                working = bool(keys) and bool(self.connection.exists(*keys))
                self._workerless = None if working else self._workerless or _now()
            except RedisError as error:
                self._note_away(error)
        if (away := self._away) is not None:
            return [away]
        if self._workerless is not None:
            return [Degraded(what="No worker is seen. Start `aftertone worker`.", since=self._workerless)]
        return []

    def trouble(self) -> str:
        """Why Redis can't be used right now, for people; '' where it can."""
        try:
            self.connection.set(CHECKED, 1, ex=60)  # a write: one that is full still answers
        except RedisError as error:
            return f"{_kind(error)} ({error})."
        return ""

    # -- while Redis is away -----------------------------------------------------------------------------------------

    def _tell_all(self) -> None:
        with self._lock:
            untold = dict(self._untold)
        for project, due in untold.items():
            self.tell(project, due)
            with self._lock:
                if self._untold.get(project) == due:
                    del self._untold[project]

    def _note_away(self, error: RedisError) -> None:
        with self._lock:
            if self._away is not None:
                return
            what = _kind(error)
            self._away = Degraded(what=f"{what}. Projects are looked at again once this has changed.", since=_now())
        log.warning("%s: %s", what, error, extra={"action": "redis_lost"})
        threading.Thread(target=self._reach_again, name="redis", daemon=True).start()

    def _reach_again(self) -> None:
        while True:
            time.sleep(RETRY_SECONDS)
            try:
                self.connection.set(CHECKED, 1, ex=60)
                self._tell_all()
            except RedisError:
                continue
            with self._lock:
                if not self._untold:
                    self._away = None
                    break
        log.info("Redis can be used again", extra={"action": "redis_back"})


def _waiting(project: int) -> str:
    return f"aftertone:waiting:{project}"


def _kind(error: RedisError) -> str:
    return "Redis is full" if isinstance(error, OutOfMemoryError) else "Redis can't be reached"


def _now() -> datetime:
    return datetime.now(UTC)
