"""Connecting as a user would: by URL, in Label Studio, to a real server process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aftertone.demo.server import free_port
from aftertone.errors import LabelStudioError
from aftertone.labelstudio.label_config import SMALLEST_CONFIG
from aftertone.store.records import Connection
from tests.integration.loop import Loop, wait_for
from tests.integration.test_kills import alive

MakeLoop = Any


@pytest.fixture
def served(make_loop: MakeLoop, tmp_path: Path) -> Iterator[tuple[Loop, str]]:
    """A project without audio, and a real `aftertone serve` that knows nothing of it yet."""
    loop: Loop = make_loop(0)
    (loop.store.folder / "connection.json").unlink()
    port = free_port()
    environment = {**os.environ, "HOST": "127.0.0.1", "PORT": str(port)}
    with (tmp_path / "serve.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "aftertone", "serve"], env=environment, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _up(url))
        yield loop, url
    finally:
        process.terminate()
        process.wait(20)


def _up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=1, trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_connecting_tells_the_backend_and_annotating_wakes_it(served: tuple[Loop, str]) -> None:
    loop, url = served
    row = loop.server.session.post("/api/ml", {"url": url, "project": loop.project, "title": "Aftertone"})
    assert row["state"] == "CO"
    connection = loop.store.read(Connection)
    assert connection is not None
    assert connection.label_config == loop.project_row()["label_config"]
    hooks = loop.server.session.get("/api/webhooks/", project=loop.project)
    assert [hook["url"] for hook in hooks] == [f"{url}/webhook"]

    jobs = loop.jobs
    jobs.wake_taken(loop.project)
    jobs.queue.empty()
    loop.server.session.post(f"/api/projects/{loop.project}/import", [{"audio": "http://nowhere.test/a.wav"}])
    wait_for(lambda: [job.args for job in jobs.queue.jobs] == [[loop.project]])

    loop.server.session.post(f"/api/ml/{row['id']}/train")
    wait_for(lambda: loop.store.train_requested)


def test_a_project_without_a_question_is_refused_and_the_log_says_what_works(
    served: tuple[Loop, str], tmp_path: Path
) -> None:
    loop, url = served
    config = '<View><Audio name="audio" value="$audio"/><TextArea name="t" toName="audio"/></View>'
    loop.server.session.patch(f"/api/projects/{loop.project}/", {"label_config": config})
    with pytest.raises(LabelStudioError, match="422"):
        loop.server.session.post("/api/ml", {"url": url, "project": loop.project, "title": "Aftertone"})
    said = (tmp_path / "serve.log").read_text()
    assert "<TextArea name='t'>" in said
    assert SMALLEST_CONFIG in said


def test_ending_the_last_process_ends_the_embedded_redis(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "MODEL_DIR": str(tmp_path), "HOST": "127.0.0.1", "PORT": str(port), "REDIS_URL": ""}
    process = subprocess.Popen([sys.executable, "-m", "aftertone", "serve"], env=environment)
    wait_for(lambda: _up(f"http://127.0.0.1:{port}"))
    redis = int((tmp_path / "redis" / "redis.pid").read_text())
    assert alive(redis)
    process.terminate()
    assert process.wait(30) == 0
    assert not alive(redis)


def test_status_before_any_worker_says_so(served: tuple[Loop, str], tmp_path: Path) -> None:
    loop, url = served
    loop.server.session.post("/api/ml", {"url": url, "project": loop.project, "title": "Aftertone"})
    command = [sys.executable, "-m", "aftertone", "status"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "no worker has looked at it yet" in shown.stdout
