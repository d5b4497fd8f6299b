"""The queue's bookkeeping on a Redis in memory; tests/integration has it on a real one."""

import time
from typing import Any

import pytest

from aftertone.errors import SettingsError
from aftertone.pipeline import worker
from aftertone.pipeline.jobs import ALARMS, JOB, JobQueue
from aftertone.settings import Settings


class FakeRedis:
    """What JobQueue asks of Redis."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.alarms: dict[str, float] = {}

    def set(self, key: str, value: Any, *, nx: bool, ex: int) -> bool:
        assert nx
        new = key not in self.values
        self.values[key] = (value, ex)
        return new

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def zadd(self, key: str, scores: dict[str, float], *, lt: bool) -> None:
        assert (key, lt) == (ALARMS, True)
        self.alarms |= {name: min(at, self.alarms.get(name, at)) for name, at in scores.items()}

    def zrangebyscore(self, key: str, low: float, high: float) -> list[bytes]:
        return [name.encode() for name, at in self.alarms.items() if low <= at <= high]

    def zrem(self, key: str, name: str) -> int:
        return int(self.alarms.pop(name, None) is not None)


class Recorder:
    """RQ's queue, as far as waking goes."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, int]] = []

    def enqueue(self, job: str, project: int, **_: Any) -> None:
        self.jobs.append((job, project))


@pytest.fixture
def jobs() -> JobQueue:
    found = JobQueue.__new__(JobQueue)
    found.connection, found.queue = FakeRedis(), Recorder()  # type: ignore[assignment]
    return found


def woken(jobs: JobQueue) -> list[tuple[str, int]]:
    return jobs.queue.jobs  # type: ignore[return-value]


def test_one_waits_at_most(jobs: JobQueue) -> None:
    jobs.wake(7)
    jobs.wake(7)
    jobs.wake(8)
    assert woken(jobs) == [(JOB, 7), (JOB, 8)]
    jobs.wake_taken(7)
    jobs.wake(7)
    assert woken(jobs) == [(JOB, 7), (JOB, 8), (JOB, 7)]


def test_alarms_ring_when_due_and_the_earliest_wins(jobs: JobQueue) -> None:
    jobs.wake(7, after=60)
    jobs.wake(7, after=0.05)
    jobs.ring()
    assert woken(jobs) == []
    time.sleep(0.06)
    jobs.ring()
    jobs.ring()
    assert woken(jobs) == [(JOB, 7)]


def test_the_job_exists_by_the_name_that_is_put_on_the_queue() -> None:
    assert f"{worker.advance.__module__}.{worker.advance.__name__}" == JOB


def test_a_redis_that_does_not_answer_is_named_with_its_setting(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL"):
        JobQueue.connect("redis://127.0.0.1:1", settings.model_dir)
