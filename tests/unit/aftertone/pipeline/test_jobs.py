"""The queue's bookkeeping on a Redis in memory; tests/integration has it on a real one."""

import threading
import time
from typing import Any

import pytest
from redis import ConnectionError, OutOfMemoryError, RedisError

from aftertone.errors import SettingsError
from aftertone.pipeline import jobs as module
from aftertone.pipeline import worker
from aftertone.pipeline.jobs import ALARMS, JOB, JobQueue
from aftertone.settings import Settings


class FakeRedis:
    """What JobQueue asks of Redis."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.alarms: dict[str, float] = {}
        self.workers: set[str] = set()
        self.fault: RedisError | None = None  # that every command meets
        self.tried = threading.Semaphore(0)  # counts commands that met it

    def _answer(self) -> None:
        if self.fault is not None:
            self.tried.release()
            raise self.fault

    def set(self, key: str, value: Any, *, nx: bool = False, ex: int) -> bool:
        self._answer()
        new = key not in self.values
        if new or not nx:
            self.values[key] = (value, ex)
        return new or not nx

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def exists(self, *keys: str) -> int:
        return len(self.workers & set(keys))

    def smembers(self, key: str) -> frozenset[bytes]:
        return frozenset(name.encode() for name in self.workers)

    def zadd(self, key: str, scores: dict[str, float], *, lt: bool) -> None:
        self._answer()
        assert (key, lt) == (ALARMS, True)
        self.alarms |= {name: min(at, self.alarms.get(name, at)) for name, at in scores.items()}

    def zrangebyscore(self, key: str, low: float, high: float) -> list[bytes]:
        return [name.encode() for name, at in self.alarms.items() if low <= at <= high]

    def zrem(self, key: str, name: str) -> int:
        return int(self.alarms.pop(name, None) is not None)


class Recorder:
    """RQ's queue, as far as waking goes."""

    def __init__(self, redis: FakeRedis) -> None:
        self.connection, self.name = redis, "aftertone"
        self.jobs: list[tuple[str, int]] = []
        self.put = threading.Condition()

    def enqueue(self, job: str, project: int, **_: Any) -> None:
        with self.put:
            self.jobs.append((job, project))
            self.put.notify_all()


@pytest.fixture
def redis() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def jobs(redis: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> JobQueue:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    found = JobQueue(redis)  # type: ignore[arg-type]
    found.queue = Recorder(redis)  # type: ignore[assignment]
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


def test_every_project_has_an_alarm_and_none_is_put_off(jobs: JobQueue, redis: FakeRedis) -> None:
    redis.alarms = {"7": time.time() + 5, "8": time.time() + 10_000}  # 8: set by a host whose clock was ahead
    before = redis.alarms["7"]
    jobs.set_alarms((7, 8, 9), within=60)
    assert redis.alarms["7"] == before
    assert all(0 < redis.alarms[project] - time.time() <= 60 for project in ("8", "9"))
    jobs.set_alarms((), within=60)


def test_what_redis_cannot_be_told_is_told_when_it_is_back(jobs: JobQueue, redis: FakeRedis) -> None:
    redis.fault = ConnectionError("Error 111 connecting to host:6379.")
    jobs.wake(7)
    jobs.wake(8, after=60)
    jobs.wake(7)
    (degraded,) = jobs.health()
    assert degraded.what.startswith("Redis can't be reached.")
    assert redis.tried.acquire(timeout=10)
    assert redis.tried.acquire(timeout=10)  # tried again, and still away
    assert jobs.health() == [degraded]
    recorder = jobs.queue
    with recorder.put:  # type: ignore[attr-defined]
        redis.fault = None
        assert recorder.put.wait(timeout=10)  # type: ignore[attr-defined]
    while jobs.health() == [degraded]:
        time.sleep(0.01)
    assert woken(jobs) == [(JOB, 7)]
    assert "8" in redis.alarms
    redis.workers = {"rq:worker:a"}
    assert jobs.health() == []


def test_a_redis_that_is_full_is_said_to_be(jobs: JobQueue, redis: FakeRedis) -> None:
    redis.fault = OutOfMemoryError("command not allowed when used memory > 'maxmemory'")
    assert jobs.health()[0].what.startswith("Redis is full.")


def test_a_redis_that_is_full_between_mark_and_job_keeps_no_mark(
    jobs: JobQueue, redis: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OutOfMemoryError("command not allowed when used memory > 'maxmemory'")

    with monkeypatch.context() as patch:
        patch.setattr(jobs.queue, "enqueue", full)
        with pytest.raises(OutOfMemoryError):
            jobs.tell(7)
    jobs.tell(7)
    assert woken(jobs) == [(JOB, 7)]


def test_that_no_worker_is_seen_is_said_since_when(jobs: JobQueue, redis: FakeRedis) -> None:
    (first,) = jobs.health()
    assert "aftertone worker" in first.what
    assert jobs.health() == [first]
    redis.workers = {"rq:worker:a"}
    assert jobs.health() == []


def test_the_job_exists_by_the_name_that_is_put_on_the_queue() -> None:
    assert f"{worker.advance.__module__}.{worker.advance.__name__}" == JOB


def test_a_redis_that_does_not_answer_is_named_with_its_setting(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL") as caught:
        JobQueue.connect("redis://:s3cret@127.0.0.1:1", settings.model_dir).check()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://:s3cret#x@host:6379/0", "redis://:s3cret:y@host:z/0", "s3cret"])
def test_an_address_that_is_none_is_explained_without_its_password(settings: Settings, url: str) -> None:
    with pytest.raises(SettingsError, match="redis://:password@host:6379/0") as caught:
        JobQueue.connect(url, settings.model_dir)
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(settings.model_copy(update={"redis_url": url}))
