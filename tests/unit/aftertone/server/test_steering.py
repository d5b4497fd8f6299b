"""Steering over HTTP: the same as the commands, for programs that give the password, and for no page in a browser."""

from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from aftertone.labelstudio.label_config import SMALLEST_CONFIG
from aftertone.server.app import create_app
from aftertone.server.openapi import describe
from aftertone.server.steering import COMMANDS
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Connection
from tests.unit.aftertone.records import FakeJobs

HERE, ELSEWHERE = ("127.0.0.1", 50_000), ("192.0.2.7", 50_000)
PASSWORD = ("ann", "s3cret")


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def store(settings: Settings) -> ProjectStore:
    store = Store(settings.model_dir).project(5)
    store.connect(Connection(project=5, label_config=SMALLEST_CONFIG))
    return store


def client(settings: Settings, jobs: FakeJobs, caller: tuple[str, int] = HERE) -> TestClient:
    return TestClient(create_app(settings, jobs), client=caller)


def with_password(settings: Settings) -> Settings:
    return settings.model_copy(update={"basic_auth_user": PASSWORD[0], "basic_auth_pass": SecretStr(PASSWORD[1])})


def test_what_the_commands_do(settings: Settings, jobs: FakeJobs, store: ProjectStore) -> None:
    caller = client(settings, jobs)
    assert "is paused" in caller.post("/projects/5/pause", json={}).json()["detail"]
    assert store.steering.paused is not None
    assert caller.post("/projects/5/set", json={"options": {"batch_size": 7, "seed": None}}).status_code == 200
    assert store.steering.options == {"batch_size": 7}
    assert caller.post("/projects/5/train", json={}).status_code == 200
    assert store.train_requested
    assert caller.post("/projects/5/cancel", json={}).status_code == 200
    assert caller.post("/projects/5/resume", json={}).status_code == 200
    assert store.steering.paused is None
    assert "Add --yes" in caller.post("/projects/5/forget", json={}).json()["detail"]
    assert caller.post("/projects/5/forget", json={"yes": True, "force": True}).status_code == 200
    assert not store.folder.exists()
    assert set(jobs.woken) == {5}


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("5/rollback", {"round": 3}, 400, "There is no round 3"),
        ("5/rollback", {}, 400, "round"),
        ("5/set", {"options": {"port": 1}}, 400, "can't be set"),
        ("5/adapt", {}, 400, "isn't adapted yet"),
        ("6/pause", {}, 404, "Nothing is kept of project 6"),
        ("0/pause", {}, 400, "names no project"),
        ("5x/pause", {}, 400, "names no project"),
        ("5/halt", {}, 404, "/openapi.json"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(
    settings: Settings, jobs: FakeJobs, path: str, body: dict[str, Any], status: int, said: str
) -> None:
    reply = client(settings, jobs).post(f"/projects/{path}", json=body)
    assert (reply.status_code, said in reply.json()["detail"]) == (status, True), reply.text
    assert jobs.woken == []


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("caller", "headers", "status"),
    [
        (ELSEWHERE, {}, 403),  # no password is set: this machine alone
        (HERE, {"X-Forwarded-For": "192.0.2.7"}, 403),  # a proxy on this machine speaks for another
        (HERE, {"Origin": "http://evil.example"}, 403),  # a page in a browser of this machine
        (HERE, {"Origin": "http://127.0.0.1:9090"}, 403),  # or one whose name was made to point here
        (HERE, {"Sec-Fetch-Site": "same-origin"}, 403),
        (HERE, {"Content-Type": "text/plain"}, 400),  # what a form or a page may send without asking first
        (HERE, {"Content-Type": "application/x-www-form-urlencoded"}, 400),
    ],
)
def test_without_a_password_only_programs_of_this_machine_steer(
    settings: Settings, jobs: FakeJobs, store: ProjectStore, command: str, caller: Any, headers: Any, status: int
) -> None:
    sent = {"Content-Type": "application/json", **headers}
    body = '{"round": 0, "options": {"batch_size": 7}, "yes": true, "force": true}'
    before = {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}
    assert (
        client(settings, jobs, caller).post(f"/projects/5/{command}", content=body, headers=sent).status_code == status
    )
    assert {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()} == before
    assert jobs.woken == []


@pytest.mark.parametrize("caller", [("::1", 1), ("::ffff:127.0.0.1", 1), HERE])
def test_this_machine_has_several_addresses(
    settings: Settings, jobs: FakeJobs, store: ProjectStore, caller: Any
) -> None:
    assert client(settings, jobs, caller).post("/projects/5/pause", json={}).status_code == 200
    assert store.steering.paused is not None


def test_with_a_password_whoever_gives_it_steers_except_a_page(
    settings: Settings, jobs: FakeJobs, store: ProjectStore
) -> None:
    caller = client(with_password(settings), jobs, ELSEWHERE)
    assert caller.post("/projects/5/pause", json={}).status_code == 401
    assert caller.post("/projects/5/pause", json={}, auth=("ann", "guess")).status_code == 401
    browser = {"Origin": "http://evil.example"}  # which remembers the password
    assert caller.post("/projects/5/pause", json={}, auth=PASSWORD, headers=browser).status_code == 403
    assert store.steering.paused is None
    assert caller.post("/projects/5/pause", json={}, auth=PASSWORD).status_code == 200
    assert store.steering.paused is not None


def test_they_are_described(settings: Settings, jobs: FakeJobs) -> None:
    paths = describe(asks_password=True)["paths"]
    assert {f"/projects/{{project}}/{name}" for name in COMMANDS} <= paths.keys()
    post = paths["/projects/{project}/rollback"]["post"]
    assert post["security"] == [{"basic": []}]
    assert post["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/RollbackRequest")
