"""Redis dies, is full, or starts again empty under a running server and worker; no Label Studio is needed for that."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from aftertone.demo.server import free_port
from aftertone.labelstudio.label_config import SMALLEST_CONFIG
from aftertone.pipeline.jobs import ALARMS, JobQueue
from aftertone.store.lease import LeaseRecord
from aftertone.store.project import Store
from aftertone.store.records import Connection
from tests.integration.loop import wait_for
from tests.integration.redis_server import PASSWORD, RedisServer
from tests.integration.test_kills import alive

HINT = {"action": "ANNOTATION_CREATED", "project": {"id": 5}}


@dataclass(kw_only=True)
class Backend:
    """A server and workers of one MODEL_DIR, in which project 5 is connected; nobody answers at LABEL_STUDIO_URL."""

    folder: Path
    redis_url: str = ""
    reconcile_seconds: float = 3600.0
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *commands: str) -> None:
        """Start `aftertone serve` or `aftertone worker`."""
        environment = {
            **os.environ,
            "MODEL_DIR": str(self.folder / "model"),
            "LABEL_STUDIO_URL": "http://127.0.0.1:1",
            "LABEL_STUDIO_API_KEY": "0" * 40,
            "REDIS_URL": self.redis_url,
            "RECONCILE_SECONDS": str(self.reconcile_seconds),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
        }
        for command in commands:
            with self.log.open("ab") as log:
                self.processes.append(
                    subprocess.Popen([sys.executable, "-m", "aftertone", command], env=environment, stderr=log)
                )

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def kill(self) -> None:
        """End every process without warning."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def looks(self) -> int:
        """How often a job has begun to look at the project."""
        found = Store(self.folder / "model").project(5).read(LeaseRecord)
        return found.token if found is not None else 0

    def hint(self) -> int:
        """Status of a webhook's answer."""
        return httpx.post(f"http://127.0.0.1:{self.port}/webhook", json=HINT, timeout=5, trust_env=False).status_code

    def degraded(self) -> list[str] | None:
        """What /health says; None while nobody answers."""
        try:
            found = httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=5, trust_env=False).json()
        except httpx.TransportError:
            return None
        assert found["status"] == "UP"
        return [one["what"] for one in found["degraded"]]

    def wait_until_well(self) -> None:
        """Return once the server answers, Redis is there and a worker has been seen."""
        wait_for(lambda: self.degraded() == [])

    def wait_for_look_after(self, change: Callable[[], Any]) -> None:
        """Return once a job that began after `change` looks at the project."""
        before = self.looks()
        change()
        wait_for(lambda: self.looks() > before)

    def redis_pid(self) -> int:
        """Process of the embedded Redis; 0 while there is none."""
        try:
            return int((self.folder / "model" / "redis" / "redis.pid").read_text())
        except (FileNotFoundError, ValueError):
            return 0


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    made = Backend(folder=tmp_path)
    store = Store(tmp_path / "model").project(5)
    store.connect(Connection(project=5, label_config=SMALLEST_CONFIG, extra_params={}))
    yield made
    made.kill()
    if pid := made.redis_pid():
        wait_for(lambda: not alive(pid), 10)  # nothing outlives its processes


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.kill()


def test_a_killed_embedded_redis_comes_back_and_nobody_is_told_an_error(backend: Backend) -> None:
    backend.start("serve", "worker")
    backend.wait_until_well()
    wait_for(lambda: backend.looks() >= 1)
    for _ in range(2):
        killed = backend.redis_pid()
        os.kill(killed, signal.SIGKILL)
        assert backend.hint() == 200
        wait_for(lambda killed=killed: backend.redis_pid() not in (0, killed))
        backend.wait_until_well()
        backend.wait_for_look_after(lambda: backend.hint())
    assert all(process.poll() is None for process in backend.processes)


def test_the_embedded_redis_ends_with_who_started_it_and_the_others_start_their_own(backend: Backend) -> None:
    backend.start("serve")
    wait_for(lambda: backend.degraded() is not None)
    first = backend.redis_pid()
    backend.start("worker")
    backend.wait_until_well()
    (server, worker) = backend.processes
    server.kill()
    server.wait()
    wait_for(lambda: not alive(first), 10)
    wait_for(lambda: backend.redis_pid() not in (0, first))
    backend.start("serve")
    backend.wait_until_well()
    backend.wait_for_look_after(lambda: backend.hint())
    assert worker.poll() is None


def test_a_redis_that_starts_again_empty_has_its_alarms_back(backend: Backend, redis_server: RedisServer) -> None:
    backend.redis_url, backend.reconcile_seconds = redis_server.url, 2.0
    backend.start("serve", "worker")
    backend.wait_until_well()
    redis_server.kill()
    assert backend.hint() == 200
    wait_for(
        lambda: backend.degraded() == ["Redis can't be reached. Projects are looked at again once this has changed."]
    )
    redis_server.start()
    backend.wait_until_well()  # the worker is registered anew
    wait_for(lambda: redis_server.connection.zscore(ALARMS, "5") is not None)
    backend.wait_for_look_after(lambda: None)  # nobody tells anything: the project's own alarm rings
    redis_server.connection.flushall()
    wait_for(lambda: redis_server.connection.zscore(ALARMS, "5") is not None)
    backend.wait_for_look_after(lambda: None)
    assert all(process.poll() is None for process in backend.processes)


def test_a_full_redis_stops_nobody(backend: Backend, redis_server: RedisServer) -> None:
    backend.redis_url = redis_server.url
    backend.start("serve", "worker")
    backend.wait_until_well()
    redis_server.connection.config_set("maxmemory", 1)
    assert backend.hint() == 200
    wait_for(lambda: backend.degraded() == ["Redis is full. Projects are looked at again once this has changed."])
    wait_for(lambda: "Redis can't be used" in backend.log.read_text())  # the worker has noticed too
    backend.start("worker")  # one that is started now waits as well
    redis_server.connection.config_set("maxmemory", 0)
    backend.wait_until_well()
    backend.wait_for_look_after(lambda: backend.hint())
    assert all(process.poll() is None for process in backend.processes)


def test_books_that_name_what_has_expired_stop_no_worker(backend: Backend, redis_server: RedisServer) -> None:
    backend.redis_url = redis_server.url
    jobs = JobQueue.connect(redis_server.url, backend.folder)
    job = jobs.queue.enqueue("aftertone.pipeline.worker.advance", 6)
    jobs.queue.empty()
    job.save()
    jobs.connection.zadd(jobs.queue.started_job_registry.key, {f"{job.id}:gone": 1})
    jobs.connection.zadd(f"rq:executions:{job.id}", {"gone": 2e9})
    backend.start("serve", "worker")
    backend.wait_until_well()
    backend.wait_for_look_after(lambda: backend.hint())
    assert backend.processes[1].poll() is None


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_wrong_redis_url_ends_the_command_at_once(backend: Backend, redis_server: RedisServer, command: str) -> None:
    for url in (
        redis_server.url.replace(PASSWORD, "wr0ng"),
        f"redis://:wr0ng@127.0.0.1:{free_port()}",
        "redis//:wr0ng",
    ):
        backend.redis_url = url
        backend.start(command)
        assert backend.processes[-1].wait(60) == 1
    said = backend.log.read_text()
    assert said.count("REDIS_URL") >= 3
    assert "Traceback" not in said
    assert "wr0ng" not in said


def test_the_password_reaches_no_log(backend: Backend, redis_server: RedisServer) -> None:
    backend.redis_url = redis_server.url
    backend.start("serve", "worker")
    backend.wait_until_well()
    redis_server.kill()
    assert backend.hint() == 200
    wait_for(lambda: backend.log.read_text().count("Redis can't be") >= 2)
    assert PASSWORD not in backend.log.read_text()


def test_adapting_again_needs_no_redis(backend: Backend) -> None:
    adapted = Store(backend.folder / "model").project(5).adapted
    adapted.mkdir(parents=True)
    environment = {**os.environ, "MODEL_DIR": str(backend.folder / "model"), "REDIS_URL": ""}
    command = [sys.executable, "-m", "aftertone", "adapt", "5"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "when it next looks" in shown.stdout
    assert not adapted.exists()
