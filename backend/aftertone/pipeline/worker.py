"""The worker: takes jobs from the queue, one at a time, each in a process of its own. Redis may come and go."""

import ctypes
import gc
import logging
import os
import signal
import sys
import time
from contextlib import nullcontext, suppress
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from redis import Redis, RedisError
from rq import Queue, get_current_job
from rq import Worker as RQWorker
from rq.exceptions import DequeueTimeout, InvalidJobOperation, StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker_registration import get_keys

from aftertone.logs import about
from aftertone.pipeline.advance import Advance
from aftertone.pipeline.connecting import check_start
from aftertone.pipeline.embedded_redis import embedded_redis
from aftertone.pipeline.jobs import JobQueue
from aftertone.settings import Settings, load_settings
from aftertone.store.project import Store

log = logging.getLogger(__name__)

BUSY_SECONDS = 2.0  # before a project that another worker has is looked at again
TICK_SECONDS = 1  # between looks at the alarms while idle
ALARM_SECONDS = 5.0  # between looks whether each project has an alarm
CLEAN_SECONDS = 600.0  # between RQ's own clean-ups
ANSWER_SECONDS = 15.0  # that Redis has to answer; more than RQ waits for a job in one go
COLLECT_AFTER = 100_000  # new objects
HEARTBEAT_SECONDS = 5  # between signs of life while a job runs
PAUSES = (0.5, 5.0)  # shortest and longest seconds before Redis is tried again
PR_SET_PDEATHSIG = 1


class ForgottenError(RedisError):
    """Redis was restarted empty: it knows this worker no more."""


class Worker(RQWorker):
    """RQ's worker with a loop of its own, which says why it ended, and stops at once when asked to.

    Stopping at once loses nothing: every step can be repeated.
    """

    def __init__(self, jobs: JobQueue, store: Store, reconcile_seconds: float) -> None:
        # RQ waits worker_ttl - 15 s for a job before it looks around.
        super().__init__(
            [jobs.queue], connection=jobs.connection, serializer=JSONSerializer, worker_ttl=15 + TICK_SECONDS,
            job_monitoring_interval=HEARTBEAT_SECONDS, log_job_description=False,
        )  # fmt: skip
        self._jobs, self._store, self._reconcile_seconds = jobs, store, reconcile_seconds
        self._alarms_at = self._clean_at = 0.0  # when each is next due, on the monotonic clock
        self.ready = False  # whether Redis has known this worker

    def run(self) -> None:
        """Work until Redis is lost or a signal ends it. Every project that connected, or wants to, is looked at first.

        Raises:
            RedisError: Redis is away, is full, or has forgotten everything.
            StopRequested: a signal asked to stop.
        """
        self._install_signal_handlers()
        self.bootstrap("WARNING")
        try:
            for project in (*self._store.projects(), *self._store.unconfirmed.problems()):
                self._jobs.wake_taken(project)  # by a worker that may have been killed right after
                self._jobs.tell(project)
            self.ready = True
            log.info("Worker ready", extra={"action": "worker_ready"})
            while True:
                self._look_around()
                self._take_job()
        finally:
            with suppress(RedisError):
                self.register_death()

    def _look_around(self) -> None:
        self.heartbeat()
        if self.key not in get_keys(self.queues[0]):
            raise ForgottenError("it was restarted empty")
        now = time.monotonic()
        if now >= self._alarms_at:
            self._jobs.set_alarms(self._store.projects(), self._reconcile_seconds)
            self._alarms_at = now + ALARM_SECONDS
        self._jobs.ring()
        if now >= self._clean_at:
            self._clean_at = now + CLEAN_SECONDS
            self._clean()

    def _clean(self) -> None:
        """Remove what killed workers left in RQ's books."""
        queue = self.queues[0]
        try:
            self.clean_registries()
        except RedisError:
            raise
        except Exception as error:  # RQ doesn't bear a book that names what has expired; it can do without
            log.warning("RQ's books are begun anew: %s", error, extra={"action": "books_begun"})
            self.connection.delete(queue.started_job_registry.key)
            queue.release_maintenance_lock()

    def _take_job(self) -> None:
        """Do the next job; returns after a tick without one."""
        try:
            found = Queue.dequeue_any(
                self.queues, self.dequeue_timeout, connection=self.connection, serializer=JSONSerializer,
                death_penalty_class=self.death_penalty_class,
            )  # fmt: skip
        except DequeueTimeout:
            return
        if found is not None:
            job, queue = found
            job.redis_server_version = self.get_redis_server_version()
            self.execute_job(job, queue)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Do a job in a process of its own."""
        self._jobs.wake_taken(*job.args)
        super().execute_job(job, queue)

    def main_work_horse(self, job: Job, queue: Queue) -> NoReturn:
        """In the job's own process: do it."""
        _end_with(self.pid)
        super().main_work_horse(job, queue)

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """In the job's own process: say why it failed. One that Redis has forgotten meanwhile has done its work."""
        if isinstance(exc_info[1], RedisError | InvalidJobOperation):
            log.info("Redis was lost during a job, which went on: %s", exc_info[1], extra={"action": "job_went_on"})
        else:
            super().handle_exception(job, *exc_info)

    def monitor_work_horse(self, job: Job, queue: Queue) -> None:
        """Wait for the job's process to end, whether or not Redis can be told meanwhile that it runs.

        Raises:
            RedisError: the process has ended, and Redis can't be told that.
        """
        while True:
            try:
                return super().monitor_work_horse(job, queue)
            except RedisError as error:
                if not self.horse_pid:
                    raise
                log.info("The job goes on without Redis: %s", error, extra={"action": "job_goes_on"})

    def wait_for_horse(self):
        """Wait for the job's process to end."""
        ended = super().wait_for_horse()
        self._horse_pid = 0
        return ended

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """End the running job too instead of waiting for it."""
        if os.getpid() != self.pid:  # a job's process that was just begun
            os._exit(1)
        del signum, frame
        if self.horse_pid:
            self.kill_horse()
        raise StopRequested

    def subscribe(self) -> None:
        """Nobody sends commands, and the thread that would listen for them doesn't end with the worker."""

    def unsubscribe(self) -> None:
        """See `subscribe`."""


def run_worker(settings: Settings) -> None:
    """Work until told to stop, however often Redis is lost meanwhile.

    Raises:
        SettingsError: Redis isn't there to begin with, or another worker has other settings.
        TokenError: Label Studio doesn't take the token, or there is none; see `check_start` for more.
    """
    check_start(settings)  # before anything is made
    collect_rarely()
    store = Store(settings.model_dir)
    with nullcontext() if settings.redis_url else embedded_redis(settings.model_dir):
        jobs = JobQueue.connect(settings.redis_url, settings.model_dir, answer_seconds=ANSWER_SECONDS)
        jobs.check()
        with store.running.enter("worker", *settings.shared()), suppress(StopRequested):
            _work_for_ever(jobs, store, settings.reconcile_seconds)


def _work_for_ever(jobs: JobQueue, store: Store, reconcile_seconds: float) -> None:
    shortest, longest = PAUSES
    pause = shortest
    while True:
        worker = None
        try:
            worker = Worker(jobs, store, reconcile_seconds)
            worker.run()
        except StopRequested:
            raise
        except Exception as error:
            if worker is not None and worker.ready:
                pause = shortest
            if pause == shortest:  # else it was said before
                expected = isinstance(error, RedisError)
                log.log(
                    logging.WARNING if expected else logging.ERROR, "Redis can't be used: %s", error,
                    exc_info=not expected, extra={"action": "redis_lost"},
                )  # fmt: skip
        time.sleep(pause)
        pause = min(2 * pause, longest)


def collect_rarely() -> None:
    """Let this process and its jobs look for garbage in circles less often than Python does by default.

    The records of a large pool are hundreds of thousands of objects without circles. Looking through them after every
    700 new ones takes longer than making them.
    """
    gc.set_threshold(COLLECT_AFTER)


def advance(project: int) -> None:
    """The job: do everything that can be done for a project now, alone for it."""
    jobs, settings = JobQueue(_connection()), load_settings()
    with about(project=project):
        if not Advance(project, settings, partial(jobs.wake, project)).run():
            jobs.wake(project, after=BUSY_SECONDS)


def _connection() -> Redis:
    job = get_current_job()
    if job is None:
        raise RuntimeError("this function is a job of the queue; call Advance to advance a project directly")
    return job.connection


def _end_with(worker: int | None) -> None:
    """Let this job's process die with its worker, so that a killed worker leaves no second `advance` behind (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != worker:
            os._exit(1)  # it was killed before we asked
