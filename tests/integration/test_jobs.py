"""The queue on a real Redis: the embedded one, and the one at REDIS_URL where there is one."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aftertone.pipeline.jobs import JobQueue
from aftertone.settings import Settings
from tests.integration.conftest import job_queue

URLS = [pytest.param("", id="embedded")]
if os.environ.get("REDIS_URL"):
    URLS.append(pytest.param(os.environ["REDIS_URL"], id="REDIS_URL"))
PROJECT = 987_654_321  # nobody else's


@pytest.fixture(params=URLS)
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobQueue]:
    settings = Settings(redis_url=request.param, model_dir=tmp_path)  # pyright: ignore[reportCallIssue] -- pydantic's defaults
    with job_queue(settings) as connected:
        queue = JobQueue(connected.connection, f"aftertone-test-{os.getpid()}")
        yield queue
        queue.wake_taken(PROJECT)
        queue.queue.delete(delete_jobs=True)
        queue.connection.zrem("aftertone:alarms", str(PROJECT))


def test_one_waits_at_most(jobs: JobQueue) -> None:
    for _ in range(3):
        jobs.wake(PROJECT)
    assert [job.args for job in jobs.queue.jobs] == [[PROJECT]]
    jobs.wake_taken(PROJECT)  # a worker has begun: what changes from now on needs another look
    for _ in range(3):
        jobs.wake(PROJECT)
    assert len(jobs.queue.jobs) == 2


def test_alarms_ring_when_due_and_the_earliest_wins(jobs: JobQueue) -> None:
    jobs.wake(PROJECT, after=0.3)
    jobs.wake(PROJECT, after=60)
    jobs.ring()
    assert jobs.queue.job_ids == []
    time.sleep(0.4)
    jobs.ring()
    jobs.ring()
    assert [job.args for job in jobs.queue.jobs] == [[PROJECT]]


def test_two_processes_share_the_embedded_server(
    tmp_path: Path, jobs: JobQueue, request: pytest.FixtureRequest
) -> None:
    jobs.connection.set("aftertone:test", "here", ex=60)
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    other = context.Process(target=_look, args=(request.node.callspec.params["jobs"], tmp_path, found))
    other.start()
    assert found.get(timeout=60) == b"here"
    other.join()
    assert jobs.connection.ping()  # the other's end didn't take it down


def _look(redis_url: str, model_dir: Path, found: "multiprocessing.Queue[bytes | None]") -> None:
    found.put(JobQueue.connect(redis_url, model_dir).connection.get("aftertone:test"))  # type: ignore[arg-type]
