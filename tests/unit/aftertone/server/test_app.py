"""The five routes, as Label Studio calls them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from aftertone.labelstudio.label_config import SMALLEST_CONFIG
from aftertone.pipeline.jobs import Degraded
from aftertone.server import app, events
from aftertone.server.app import create_app
from aftertone.server.serving import Told
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


@pytest.fixture
def store(settings: Settings) -> ProjectStore:
    """Project 5, which Label Studio has confirmed."""
    store = Store(settings.model_dir).project(5)
    store.connect(Connection(project=5, label_config=SMALLEST_CONFIG, url="http://backend:9090"))
    return store


def publish(store: ProjectStore, record: Round) -> None:
    scores = [
        Score(task=1, clip="a", rank=1, acquisition=0.9, cluster=None, predictions=(0.3, 0.7)),
        Score(task=2, clip="b", rank=None, acquisition=None, cluster=None, predictions=(0.8, 0.2)),
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


@pytest.mark.parametrize("extra", [None, "", [], {}, {"batch_size": 9}, '{"batch_size": 9}'])
@pytest.mark.parametrize("project", ["5.1795222710", "5", 5, {"id": 5, "title": "t"}])
def test_setup_of_a_new_project_has_label_studio_asked_and_stores_nothing_of_it(
    client: TestClient, settings: Settings, woken: list[int], project: Any, extra: Any
) -> None:
    reply = client.post("/setup", json={**SETUP, "project": project, "extra_params": extra})
    assert reply.json() == {"model_version": "untrained"}
    assert woken == [5]
    assert Store(settings.model_dir).projects() == []
    assert not (settings.model_dir / "projects").exists()


def test_setup_keeps_no_token(client: TestClient, settings: Settings) -> None:
    client.post("/setup", json=SETUP)
    assert not any(b"secret" in file.read_bytes() for file in Path(settings.model_dir).rglob("*.json"))


def test_strangers_projects_are_few_and_leave_no_folder(
    client: TestClient, settings: Settings, woken: list[int]
) -> None:
    replies = [client.post("/setup", json={**SETUP, "project": str(number)}) for number in range(1, 201)]
    assert [reply.status_code for reply in replies] == [200] * 20 + [429] * 180
    assert "Try again in a minute" in replies[-1].json()["detail"]
    assert woken == list(range(1, 21))
    assert not (settings.model_dir / "projects").exists()


def test_a_stranger_changes_no_option(client: TestClient, store: ProjectStore, woken: list[int]) -> None:
    client.post("/setup", json={**SETUP, "extra_params": {"batch_size": 1}})
    connection = store.read(Connection)
    assert connection is not None
    assert connection.extra_params == {}
    assert store.setup_requested
    assert woken == [5]


def test_what_is_known_asks_nobody(client: TestClient, store: ProjectStore, woken: list[int]) -> None:
    for _ in range(3):
        assert client.post("/setup", json={**SETUP, "extra_params": ""}).status_code == 200
    assert not store.setup_requested
    assert woken == []


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


def test_a_webhook_wakes_its_project_and_nothing_else(
    client: TestClient, settings: Settings, store: ProjectStore, jobs: FakeJobs
) -> None:
    for action in ("ANNOTATION_CREATED", "TASKS_DELETED", "SOMETHING_NEW"):
        assert client.post("/webhook", json={"action": action, "project": {"id": 5}}).json() == {}
    assert client.post("/webhook", json={"action": "ANNOTATION_CREATED", "project": {"id": 6}}).status_code == 200
    assert (jobs.woken, [project for project, _ in jobs.alarms]) == ([5], [5])
    assert not store.train_requested
    assert [path.name for path in (settings.model_dir / "projects").iterdir()] == ["5"]


def test_start_training_is_remembered(client: TestClient, store: ProjectStore) -> None:
    client.post("/webhook", json={"action": "START_TRAINING", "project": {"id": 5}})
    assert store.train_requested


DEEP = b'{"project": 5, "tasks": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
BAD_PROJECTS = [
    "0", "-5", '"0"', '"5.5.5"', "9223372036854775808", "9" * 4_000, f'"{"9" * 4_000}"', '"x"', '""', "null", "true",
    "[]", "{}", "[5]", '{"id": -1}', '{"id": {"id": 5}}', "1e3", "5.5", "NaN", '"\\ud800"', '"\u0665"', '"5\\n"',
]  # fmt: skip


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook"])
@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", b"[]", b"{}", b"[1]", b"NaN", b'"a"', b"{" * 5_000, DEEP, b"\xff\xfe", b'{"project": 5',
        b'{"\xff": 5}', *(f'{{"project": {project}}}'.encode() for project in BAD_PROJECTS),
    ],
)  # fmt: skip
def test_what_is_no_request_is_explained_in_one_form(
    client: TestClient, settings: Settings, path: str, body: bytes
) -> None:
    reply = client.post(path, content=body)
    assert reply.status_code == 400
    assert set(reply.json()) == {"error", "detail"}
    assert not (settings.model_dir / "projects").exists()


@pytest.mark.parametrize(
    "tasks", ["-1", "[1]", "[{}]", '"x"', '{"id": 1}', '[{"id": "1"}]', '[{"id": null}]', '[{"id": []}]', "[null]"]
)
def test_tasks_of_another_form_are_refused(client: TestClient, tasks: str) -> None:
    reply = client.post("/predict", content=f'{{"project": 5, "tasks": {tasks}}}'.encode())
    assert (reply.status_code, reply.json()["error"]) == (400, "MalformedRequestError")


@pytest.mark.parametrize(
    "extra",
    [
        '"\\ud800"',
        '{"\\ud800": 1}',
        '{"a\\nb": 1}',
        '{"seed": NaN}',
        '{"seed": 1e999}',
        "5",
        f'"{"[" * 2000}"',
        f'"{"9" * 5000}"',
    ],
)
def test_odd_options_are_refused(client: TestClient, extra: str) -> None:
    body = json.dumps(SETUP)[:-1] + f', "extra_params": {extra}}}'
    reply = client.post("/setup", content=body.encode())
    assert reply.status_code == 400
    assert "\n" not in reply.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/x", 404), ("POST", "/", 405), ("GET", "/webhook", 405), ("DELETE", "/setup", 405),
        ("POST", "/setup/", 404), ("GET", "/docs", 404), ("POST", "/%ff%00", 404),
    ],
)  # fmt: skip
def test_other_routes_and_methods_are_refused_in_the_same_form(
    client: TestClient, method: str, path: str, status: int
) -> None:
    reply = client.request(method, path, headers={"Host": "["})
    assert reply.status_code == status
    assert "/openapi.json" in reply.json()["detail"]


@pytest.mark.parametrize(("path", "megabytes"), [("/setup", 20), ("/predict", 20), ("/webhook", 1)])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(client: TestClient, path: str, megabytes: int, chunked: bool) -> None:
    chunks = (b" " * 1_000_000 for _ in range(megabytes + 1))
    reply = client.post(path, content=chunks if chunked else b" " * (megabytes * 1_000_000 + 1))
    assert reply.status_code == 413
    assert reply.headers["connection"] == "close"
    assert f"{megabytes} MB" in reply.json()["detail"]


def test_a_body_of_nothing_but_brackets_costs_no_memory(client: TestClient) -> None:
    reply = client.post("/predict", content=b'{"project": 5, "tasks": [' + b"{}," * 600_000 + b"{}]}")
    assert reply.status_code == 413


def test_the_description_matches_what_is_asked(client: TestClient) -> None:
    page = client.get("/openapi.json").json()
    others = {path for path in page["paths"] if not path.startswith("/projects/{project}/")}
    assert others == {"/", "/health", "/setup", "/predict", "/webhook", "/versions", "/status", "/metrics"}
    assert page["components"]["schemas"]["PredictRequest"]["required"] == ["project"]
    assert "security" not in page["paths"]["/setup"]["post"]


def test_predict_before_any_round_answers_every_task(client: TestClient) -> None:
    body = {"project": "5.1", "label_config": SMALLEST_CONFIG, "tasks": [{"id": 1}, {"id": 2}]}
    assert client.post("/predict", json=body).json() == {
        "results": [{"result": [], "score": 0.0, "model_version": "untrained"}] * 2
    }


def test_a_body_of_label_studio_is_understood_whole(client: TestClient) -> None:
    task = {
        "id": 1, "data": {"audio": "s3://b/a.wav"}, "meta": {}, "is_labeled": False, "file_upload": None,
        "annotations": [], "predictions": [], "project": 5,
    }  # fmt: skip
    params = {"login": None, "password": None, "context": None}
    body = {"tasks": [task], "project": "5.1795222710", "label_config": SMALLEST_CONFIG, "params": params}
    assert len(client.post("/predict", json=body).json()["results"]) == 1


@pytest.mark.parametrize("option", ["serve_predictions", "prelabel"])
def test_predict_reads_the_served_round(client: TestClient, settings: Settings, option: str) -> None:
    record = make_round(3, kind="trained", classes=("neutral", "happy"))
    store = Store(settings.model_dir).project(5)
    publish(store, record)
    store.connect(Connection(project=5, label_config=SMALLEST_CONFIG, extra_params={option: True}))
    body = {"project": "5.1", "label_config": SMALLEST_CONFIG, "tasks": [{"id": 2}, {"id": 99}, {"id": 1}]}
    second, unknown, first = client.post("/predict", json=body).json()["results"]
    assert (second["result"][0]["value"], second["score"]) == ({"choices": ["neutral"]}, 0.8)
    assert (first["result"][0]["value"], first["score"]) == ({"choices": ["happy"]}, 0.7)
    assert (unknown["result"], unknown["score"]) == ([], 0.0)
    assert {answer["model_version"] for answer in (second, unknown, first)} == {record.guess_version}


def test_predict_answers_the_question_that_the_served_round_learned(client: TestClient, settings: Settings) -> None:
    record = make_round(3, kind="trained", classes=("neutral", "happy"), question="second")
    publish(Store(settings.model_dir).project(5), record)
    again = SMALLEST_CONFIG.splitlines()[2:-1]
    config = SMALLEST_CONFIG.replace("</View>", "\n".join(again).replace('"emotion"', '"second"') + "</View>")
    body = {"project": "5.1", "label_config": config, "tasks": [{"id": 1, "is_labeled": True}]}
    (answer,) = client.post("/predict", json=body).json()["results"]
    assert [item["from_name"] for item in answer["result"]] == ["second"]


def test_nobody_is_shown_a_prediction_before_they_have_labelled(client: TestClient, store: ProjectStore) -> None:
    record = make_round(3, kind="trained", classes=("neutral", "happy"))
    publish(store, record)
    tasks = [{"id": 1, "is_labeled": False}, {"id": 2, "is_labeled": True}, {"id": 1}]
    body = {"project": "5.1", "label_config": SMALLEST_CONFIG, "tasks": tasks}
    answers = client.post("/predict", json=body).json()["results"]
    assert [len(answer["result"]) for answer in answers] == [0, 1, 0]
    assert [answer["score"] for answer in answers] == [0.0, 0.8, 0.0]
    # Label Studio asks again for what was hidden once the option is on: it asks for versions that it lacks.
    hidden = {answer["model_version"] for answer in answers}
    assert hidden == set(client.get("/versions").json()["versions"])
    store.connect(Connection(project=5, label_config=SMALLEST_CONFIG, extra_params={"serve_predictions": True}))
    assert hidden.isdisjoint(client.get("/versions").json()["versions"])


def test_a_class_that_left_the_label_config_is_not_answered(client: TestClient, settings: Settings) -> None:
    publish(Store(settings.model_dir).project(5), make_round(3, kind="trained", classes=("neutral", "happy")))
    config = SMALLEST_CONFIG.replace("happy", "sad")
    body = {"project": "5.1", "label_config": config, "tasks": [{"id": 1, "is_labeled": True}]}
    assert client.post("/predict", json=body).json()["results"][0]["result"] == []


def test_versions_lists_what_is_answered(client: TestClient, store: ProjectStore) -> None:
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

    @pytest.mark.parametrize("header", ["Basic \xfc", "Basic dTpwCg", "Basic", "", "Bearer dTpw"])
    def test_an_odd_password_is_refused(self, client: TestClient, header: str) -> None:
        assert client.get("/versions", headers=[(b"Authorization", header.encode("latin-1"))]).status_code == 401

    def test_health_and_hints_need_no_password_but_start_training_does(
        self, client: TestClient, store: ProjectStore, woken: list[int]
    ) -> None:
        assert client.get("/health").status_code == 200
        start = {"action": "START_TRAINING", "project": {"id": 5}}
        assert client.post("/webhook", json=start).status_code == 200
        assert woken == [5]
        assert not store.train_requested
        client.post("/webhook", json=start, auth=("u", "p"))
        assert store.train_requested

    def test_hints_need_the_secret_once_label_studio_has_it(
        self, client: TestClient, store: ProjectStore, woken: list[int]
    ) -> None:
        store.set_webhook_secret("s3cret")
        event = {"action": "START_TRAINING", "project": {"id": 5}}
        for given in (b"", b"wrong", "\xfc".encode()):
            reply = client.post("/webhook", json=event, headers=[(b"X-Aftertone-Secret", given)])
            assert (reply.status_code, woken) == (401, [])
            assert "s3cret" not in reply.text
        assert client.post("/webhook", json=event, headers={"X-Aftertone-Secret": "s3cret"}).status_code == 200
        assert woken == [5]
        assert not store.train_requested  # that comes another way, with the password
        assert client.post("/webhook", json=event, auth=("u", "p")).status_code == 200
        assert store.train_requested

    def test_the_password_is_asked_before_the_body_is_read(self, client: TestClient) -> None:
        assert client.post("/predict", content=b"x" * 30_000_000).status_code == 401

    def test_the_description_says_so(self, client: TestClient) -> None:
        assert client.get("/openapi.json").json()["paths"]["/setup"]["post"]["security"] == [{"basic": []}]


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


def test_more_at_once_than_can_be_borne_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "AT_ONCE", 0)
    client = TestClient(create_app(settings, FakeJobs()))
    reply = client.post("/setup", json=SETUP)
    assert (reply.status_code, reply.json()["error"]) == (503, "BusyError")
    assert client.get("/health").status_code == 200


def test_a_stranger_does_not_fill_the_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(200):
        client.post("/webhook", content=b"x")
    assert len([record for record in caplog.records if record.name == "aftertone.server.app"]) == 60


def test_a_bug_that_many_requests_meet_does_not_fill_the_log(
    settings: Settings, jobs: FakeJobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(events, "latest_version", broken)
    client = TestClient(Told(create_app(settings, jobs)))  # which raises what uvicorn would log
    assert {client.post("/setup", json=SETUP).status_code for _ in range(80)} == {500}
    failed = [record for record in caplog.records if record.name == "aftertone.server.app"]
    assert (len(failed), sum(bool(record.exc_info) for record in failed)) == (60, 6)
    assert all("ZeroDivisionError" in record.getMessage() for record in failed)
