"""The five routes, as Label Studio calls them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from aftertone.labelstudio.label_config import SMALLEST_CONFIG
from aftertone.pipeline.jobs import Degraded
from aftertone.server import events
from aftertone.server.app import create_app
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Connection
from aftertone.store.round_scores import Score
from aftertone.store.rounds import Round
from tests.unit.aftertone.records import FakeJobs, make_round

SETUP = {"project": "5.1795222710", "schema": SMALLEST_CONFIG, "hostname": "http://ls", "access_token": "secret"}


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def woken(jobs: FakeJobs) -> list[int]:
    """Projects that were put on the queue."""
    return jobs.woken


@pytest.fixture
def client(settings: Settings, jobs: FakeJobs) -> TestClient:
    return TestClient(create_app(settings, jobs))


def publish(store: ProjectStore, record: Round) -> None:
    scores = [
        Score(task=1, clip="a", rank=1, acquisition=0.9, cluster=None, probabilities=(0.3, 0.7)),
        Score(task=2, clip="b", rank=None, acquisition=None, cluster=None, probabilities=(0.8, 0.2)),
    ]
    store.save_draft(record, lambda folder: folder.mkdir())
    store.complete_round(record, scores)
    store.set_current(record.number)


@pytest.mark.parametrize("path", ["/", "/health"])
def test_health_is_up(client: TestClient, path: str) -> None:
    assert client.get(path).json()["status"] == "UP"


def test_health_stays_up_and_says_what_is_degraded(client: TestClient, jobs: FakeJobs) -> None:
    assert client.get("/health").json()["degraded"] == []
    jobs.degraded = [Degraded(what="Redis is full.", since=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))]
    found = client.get("/health").json()
    assert found["status"] == "UP"
    assert found["degraded"] == [{"what": "Redis is full.", "since": "2026-01-02T03:04:05+00:00"}]


@pytest.mark.parametrize(
    ("extra", "kept"),
    [(None, {}), ("", {}), ([], {}), ({"batch_size": 9}, {"batch_size": 9}), ('{"batch_size": 9}', {"batch_size": 9})],
)
def test_setup_remembers_the_project_and_wakes_it(
    client: TestClient, settings: Settings, woken: list[int], extra: Any, kept: dict[str, int]
) -> None:
    reply = client.post("/setup", json={**SETUP, "extra_params": extra})
    assert reply.json() == {"model_version": "untrained"}
    connection = Store(settings.model_dir).project(5).read(Connection)
    assert connection is not None
    assert (connection.label_config, connection.extra_params) == (SMALLEST_CONFIG, kept)
    assert woken == [5]


def test_setup_keeps_no_token(client: TestClient, settings: Settings) -> None:
    client.post("/setup", json=SETUP)
    assert not any(b"secret" in file.read_bytes() for file in Path(settings.model_dir).rglob("*.json"))


def test_setup_explains_a_project_that_asks_nothing(client: TestClient, settings: Settings, woken: list[int]) -> None:
    reply = client.post("/setup", json={**SETUP, "schema": '<View><Text name="t" value="$t"/></View>'})
    assert reply.status_code == 422
    assert "<Text name='t'>" in reply.json()["detail"]
    assert SMALLEST_CONFIG in reply.json()["detail"]
    assert Store(settings.model_dir).projects() == woken == []


@pytest.mark.parametrize(
    ("extra", "said"),
    [("{", "not JSON"), ("3", "JSON object"), ({"x": 1}, "x can't be set"), ({"batch_size": -1}, "BATCH_SIZE")],
)
def test_setup_explains_extra_params_that_do_not_fit(client: TestClient, extra: Any, said: str) -> None:
    reply = client.post("/setup", json={**SETUP, "extra_params": extra})
    assert reply.status_code == 400
    assert said in reply.json()["detail"]


def test_a_webhook_wakes_its_project_and_nothing_else(client: TestClient, settings: Settings, woken: list[int]) -> None:
    client.post("/setup", json=SETUP)
    woken.clear()
    for action in ("ANNOTATION_CREATED", "TASKS_DELETED", "SOMETHING_NEW"):
        assert client.post("/webhook", json={"action": action, "project": {"id": 5}}).json() == {}
    assert client.post("/webhook", json={"action": "ANNOTATION_CREATED", "project": {"id": 6}}).status_code == 200
    assert woken == [5, 5, 5]
    assert not Store(settings.model_dir).project(5).train_requested


def test_start_training_is_remembered(client: TestClient, settings: Settings) -> None:
    client.post("/setup", json=SETUP)
    client.post("/webhook", json={"action": "START_TRAINING", "project": {"id": 5}})
    assert Store(settings.model_dir).project(5).train_requested


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"{}", b'{"project": null}'])
def test_what_is_no_webhook_is_explained(client: TestClient, body: bytes) -> None:
    reply = client.post("/webhook", content=body)
    assert reply.status_code == 400
    assert set(reply.json()) == {"error", "detail"}


def test_predict_before_any_round_answers_every_task(client: TestClient) -> None:
    body = {"project": "5.1", "label_config": SMALLEST_CONFIG, "tasks": [{"id": 1}, {"id": 2}]}
    assert client.post("/predict", json=body).json() == {
        "results": [{"result": [], "score": 0.0, "model_version": "untrained"}] * 2
    }


def test_predict_reads_the_served_round(client: TestClient, settings: Settings) -> None:
    record = make_round(3, kind="trained", classes=("neutral", "happy"))
    publish(Store(settings.model_dir).project(5), record)
    body = {"project": "5.1", "label_config": SMALLEST_CONFIG, "tasks": [{"id": 2}, {"id": 99}, {"id": 1}]}
    second, unknown, first = client.post("/predict", json=body).json()["results"]
    assert (second["result"][0]["value"], second["score"]) == ({"choices": ["neutral"]}, 0.8)
    assert (first["result"][0]["value"], first["score"]) == ({"choices": ["happy"]}, 0.7)
    assert (unknown["result"], unknown["score"]) == ([], 0.0)
    assert {answer["model_version"] for answer in (second, unknown, first)} == {record.guess_version}


def test_a_class_that_left_the_label_config_is_not_answered(client: TestClient, settings: Settings) -> None:
    publish(Store(settings.model_dir).project(5), make_round(3, kind="trained", classes=("neutral", "happy")))
    config = SMALLEST_CONFIG.replace("happy", "sad")
    body = {"project": "5.1", "label_config": config, "tasks": [{"id": 1}]}
    assert client.post("/predict", json=body).json()["results"][0]["result"] == []


def test_versions_lists_what_is_answered(client: TestClient, settings: Settings) -> None:
    client.post("/setup", json=SETUP)
    assert client.get("/versions").json() == {"versions": ["untrained"]}


class TestBasicAuth:
    @pytest.fixture
    def client(self, settings: Settings, jobs: FakeJobs) -> TestClient:
        protected = settings.model_copy(update={"basic_auth_user": "u", "basic_auth_pass": SecretStr("p")})
        return TestClient(create_app(protected, jobs))

    @pytest.mark.parametrize("auth", [None, ("u", "wrong"), ("", "")])
    def test_others_are_refused(self, client: TestClient, auth: tuple[str, str] | None) -> None:
        reply = client.post("/setup", json=SETUP, auth=auth)  # pyright: ignore[reportArgumentType] -- httpx takes None
        assert reply.status_code == 401
        assert "BASIC_AUTH_USER" in reply.json()["detail"]

    def test_the_right_ones_get_in(self, client: TestClient) -> None:
        assert client.post("/setup", json=SETUP, auth=("u", "p")).status_code == 200

    def test_health_and_hints_need_no_password_but_start_training_does(
        self, client: TestClient, settings: Settings, woken: list[int]
    ) -> None:
        client.post("/setup", json=SETUP, auth=("u", "p"))
        assert client.get("/health").status_code == 200
        start = {"action": "START_TRAINING", "project": {"id": 5}}
        assert client.post("/webhook", json=start).status_code == 200
        assert not Store(settings.model_dir).project(5).train_requested
        client.post("/webhook", json=start, auth=("u", "p"))
        assert Store(settings.model_dir).project(5).train_requested


def test_a_bug_is_admitted_without_details(
    client: TestClient, settings: Settings, jobs: FakeJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(events, "latest_version", broken)
    reply = TestClient(create_app(settings, jobs), raise_server_exceptions=False).post("/setup", json=SETUP)
    assert reply.status_code == 500
    assert reply.json()["error"] == "ZeroDivisionError"
    assert "secret" not in reply.text
