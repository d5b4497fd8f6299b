"""Connecting as a user would: by URL, in Label Studio, to a real server process."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from aftertone.demo.server import free_port
from aftertone.errors import LabelStudioError
from aftertone.labelstudio.label_config import SMALLEST_CONFIG
from aftertone.labelstudio.tasks import SECRET_HEADER
from aftertone.pipeline.advance import Advance
from aftertone.server.events import WAKE_SECONDS
from aftertone.store.records import Connection
from tests.integration.loop import Loop, wait_for
from tests.integration.test_kills import alive

MakeLoop = Any


PASSWORD = {"BASIC_AUTH_USER": "ls", "BASIC_AUTH_PASS": "p4ss"}
BASIC = {"auth_method": "BASIC_AUTH", "basic_auth_user": "ls", "basic_auth_pass": "p4ss"}


@contextmanager
def serve(make_loop: MakeLoop, tmp_path: Path, **settings: str) -> Iterator[tuple[Loop, str]]:
    """A project without audio, and a real `aftertone serve` that knows nothing of it yet."""
    loop: Loop = make_loop(0)
    shutil.rmtree(loop.store.folder)
    port = free_port()
    environment = {**os.environ, "HOST": "127.0.0.1", "PORT": str(port), **settings}
    with (tmp_path / "serve.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "aftertone", "serve"], env=environment, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _up(url))
        yield loop, url
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def served(make_loop: MakeLoop, tmp_path: Path) -> Iterator[tuple[Loop, str]]:
    with serve(make_loop, tmp_path) as found:
        yield found


def connect(loop: Loop, url: str, **values: Any) -> dict[str, Any]:
    """Connect as a user would; then a worker's job runs. Returns Label Studio's row of the model."""
    body = {"url": url, "project": loop.project, "title": "Aftertone", **values}
    row = loop.server.session.post("/api/ml", body)
    work(loop)
    return row


def work(loop: Loop) -> None:
    """Do what waits in the queue, and what is put there meanwhile, as a worker would."""
    while loop.jobs.queue.job_ids:
        loop.jobs.queue.empty()
        loop.jobs.wake_taken(loop.project)
        loop.advance()


def woken(loop: Loop) -> bool:
    """Whether the project is on the queue; an event soon after another one sets an alarm, which workers ring."""
    loop.jobs.ring()
    return bool(loop.jobs.queue.job_ids)


def connection(loop: Loop) -> Connection:
    found = loop.store.read(Connection)
    assert found is not None
    return found


def _up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=1, trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_connecting_tells_the_backend_and_annotating_wakes_it(served: tuple[Loop, str]) -> None:
    loop, url = served
    row = connect(loop, url, extra_params='{"batch_size": 9}')
    assert row["state"] == "CO"
    found = connection(loop)
    assert (found.label_config, found.extra_params) == (loop.project_row()["label_config"], {"batch_size": 9})
    assert found.url == url
    hooks = loop.server.session.get("/api/webhooks/", project=loop.project)
    assert [hook["url"] for hook in hooks] == [f"{url}/webhook"]

    jobs = loop.jobs
    assert not jobs.queue.job_ids
    loop.server.session.post(f"/api/projects/{loop.project}/import", [{"audio": "http://nowhere.test/a.wav"}])
    wait_for(lambda: woken(loop))
    assert [job.args for job in jobs.queue.jobs] == [[loop.project]]

    loop.server.session.post(f"/api/ml/{row['id']}/train")
    wait_for(lambda: loop.store.train_requested)


@pytest.mark.parametrize("changed", [{"batch_size": 8}, '{"batch_size": 8}', None])
def test_other_options_arrive_and_asking_for_them_ends(served: tuple[Loop, str], changed: Any) -> None:
    loop, url = served
    row = connect(loop, url, extra_params={"batch_size": 9})
    time.sleep(WAKE_SECONDS)  # then the next event wakes at once instead of setting an alarm
    body = {"url": url, "project": loop.project, "title": "Aftertone", "extra_params": changed}
    loop.server.session.patch(f"/api/ml/{row['id']}", body)
    assert loop.store.setup_requested
    loop.advance()
    assert connection(loop).extra_params == ({} if changed is None else {"batch_size": 8})
    for _ in range(3):  # asking makes Label Studio call /setup, while the answer isn't stored yet
        loop.advance()
    assert not loop.store.setup_requested
    loop.server.session.get("/api/ml", project=loop.project)  # somebody opens the page of models
    assert not loop.store.setup_requested


def test_a_stranger_connects_no_project_and_changes_none(served: tuple[Loop, str]) -> None:
    loop, url = served
    body = {"schema": SMALLEST_CONFIG, "extra_params": {"batch_size": 1}}
    unknown = 987_654
    with httpx.Client(base_url=url, trust_env=False) as http:
        for project in (unknown, loop.project):  # the second exists, but no model is connected to it
            assert http.post("/setup", json={**body, "project": f"{project}.1"}).status_code == 200
            Advance(project, loop.settings, lambda _: None).run()
        assert not list((loop.settings.model_dir / "projects").glob("*"))
        reply = http.post("/setup", json={**body, "project": str(unknown)})
        assert (reply.status_code, reply.json()["error"]) == (403, "UnknownProjectError")
        connect(loop, url, extra_params={"batch_size": 9})
        http.post("/setup", json={**body, "project": str(loop.project)}).raise_for_status()
        loop.advance()
    assert connection(loop).extra_params == {"batch_size": 9}


def test_with_a_password_webhooks_need_the_secret_that_label_studio_was_given(
    make_loop: MakeLoop, tmp_path: Path
) -> None:
    with serve(make_loop, tmp_path, **PASSWORD) as (loop, url):
        session = loop.server.session
        row = connect(loop, url, **BASIC)
        (hook,) = session.get("/api/webhooks/", project=loop.project)
        assert hook["headers"] == {SECRET_HEADER: loop.store.webhook_secret}

        event = {"action": "ANNOTATION_CREATED", "project": {"id": loop.project}}
        assert httpx.post(f"{url}/webhook", json=event, trust_env=False).status_code == 401
        assert not loop.jobs.queue.job_ids
        session.patch(f"/api/projects/{loop.project}/", {"title": "New"})
        wait_for(lambda: woken(loop))

        session.post(f"/api/ml/{row['id']}/train")  # comes with the password and without the webhook's headers
        assert loop.store.train_requested

        session.patch(f"/api/webhooks/{hook['id']}/", {"url": hook["url"], "headers": {"X-Own": "1"}})
        loop.advance()
        (hook,) = session.get("/api/webhooks/", project=loop.project)
        assert hook["headers"] == {"X-Own": "1", SECRET_HEADER: loop.store.webhook_secret}
        said = (tmp_path / "serve.log").read_text()
        assert "p4ss" not in said
        assert loop.store.webhook_secret not in said


def test_a_refused_token_is_shown_until_the_project_is_confirmed(served: tuple[Loop, str]) -> None:
    loop, url = served
    loop.server.session.post("/api/ml", {"url": url, "project": loop.project, "title": "Aftertone"})
    wrong = loop.settings.model_copy(update={"label_studio_api_key": SecretStr("0" * 40)})
    Advance(loop.project, wrong, lambda _: None).run()
    assert f"Project {loop.project} wants to connect, but Label Studio at" in _status()
    loop.advance()
    assert "wants to connect" not in _status()


def _status() -> str:
    command = [sys.executable, "-m", "aftertone", "status"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_a_project_without_a_question_is_refused_and_the_log_says_what_works(
    served: tuple[Loop, str], tmp_path: Path
) -> None:
    loop, url = served
    config = '<View><Audio name="audio" value="$audio"/><TextArea name="t" toName="audio"/></View>'
    loop.server.session.patch(f"/api/projects/{loop.project}/", {"label_config": config})
    with pytest.raises(LabelStudioError, match="422"):
        loop.server.session.post("/api/ml", {"url": url, "project": loop.project, "title": "Aftertone"})
    said = (tmp_path / "serve.log").read_text()
    assert 'TextArea "t"' in said
    assert SMALLEST_CONFIG in said


def test_ending_the_last_process_ends_the_embedded_redis(tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **os.environ, "MODEL_DIR": str(tmp_path), "HOST": "127.0.0.1", "PORT": str(port), "REDIS_URL": "",
        "LABEL_STUDIO_URL": "http://127.0.0.1:1", "LABEL_STUDIO_API_KEY": "0" * 40,
    }  # fmt: skip
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
    assert f"Project {loop.project} wants to connect, but it isn't confirmed yet" in _status()
