"""The worker: takes jobs from the queue, one at a time, each in a process of its own."""

import ctypes
import gc
import logging
import signal
import sys
import time
from functools import partial
from types import FrameType
from typing import Any

from redis import Redis
from rq import Worker as RQWorker
from rq import get_current_job

from aftertone.pipeline.advance import Advance
from aftertone.pipeline.jobs import JobQueue
from aftertone.settings import Settings, load_settings
from aftertone.store.project import Store

log = logging.getLogger(__name__)

BUSY_SECONDS = 2.0  # before a project that another worker has is looked at again
TICK_SECONDS = 1  # between looks at the alarms while idle
CLEAN_SECONDS = 600.0  # between RQ's own clean-ups
COLLECT_AFTER = 100_000  # new objects
PR_SET_PDEATHSIG = 1


class Worker(RQWorker):
    """RQ's worker, which also wakes projects when their alarm is due and stops at once when asked to.

    Stopping at once loses nothing: every step can be repeated.
    """

    def __init__(self, jobs: JobQueue, **options: Any) -> None:
        # RQ waits worker_ttl - 15 s for a job before it looks around.
        super().__init__(
            [jobs.queue], connection=jobs.connection, maintenance_interval=TICK_SECONDS,
            worker_ttl=15 + TICK_SECONDS, job_monitoring_interval=5, log_job_description=False, **options,
        )  # fmt: skip
        self._jobs = jobs
        self._cleaned = 0.0

    def run_maintenance_tasks(self) -> None:
        """Called by RQ about every tick while idle."""
        self._jobs.ring()
        if time.monotonic() - self._cleaned > CLEAN_SECONDS:
            super().run_maintenance_tasks()
            self._cleaned = time.monotonic()

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """End the running job too instead of waiting for it."""
        if self.horse_pid:
            self.kill_horse()
        super().request_stop(signum, frame)


def run_worker(settings: Settings) -> None:
    """Work until told to stop. Every project that ever connected is looked at first: a restart needs no webhook."""
    jobs = JobQueue.connect(settings.redis_url, settings.model_dir)
    for project in Store(settings.model_dir).projects():
        jobs.wake_taken(project)  # by a worker that may have been killed right after
        jobs.wake(project)
    collect_rarely()
    log.info("Worker ready", extra={"action": "worker_ready"})
    Worker(jobs).work(logging_level="WARNING")


def collect_rarely() -> None:
    """Let this process and its jobs look for garbage in circles less often than Python does by default.

    The records of a large pool are hundreds of thousands of objects without circles. Looking through them after every
    700 new ones takes longer than making them.
    """
    gc.set_threshold(COLLECT_AFTER)


def advance(project: int) -> None:
    """The job: do everything that can be done for a project now, alone for it."""
    _end_with_parent()
    jobs, settings = JobQueue(_connection()), load_settings()
    jobs.wake_taken(project)
    with jobs.only_advance(project) as alone:
        if alone:
            if Store(settings.model_dir).project(project).connected:
                jobs.wake(project, after=settings.reconcile_seconds)
            Advance(project, settings, partial(jobs.wake, project)).run()
        else:
            jobs.wake(project, after=BUSY_SECONDS)


def _connection() -> Redis:
    job = get_current_job()
    if job is None:
        raise RuntimeError("this function is a job of the queue; call Advance to advance a project directly")
    return job.connection


def _end_with_parent() -> None:
    """Let this job's process die with its worker, so that a killed worker leaves no second `advance` behind (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
