"""/metrics: it parses, it is true, it is guarded, and it makes up no series."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from redis import RedisError
from starlette.testclient import TestClient

from aftertone.server.app import create_app
from aftertone.server.metrics_docs import guide
from aftertone.settings import Settings
from tests.unit.aftertone.loops import MemoryLoop
from tests.unit.aftertone.records import FakeJobs

PAGE = (Path(__file__).parents[4] / "docs" / "metrics.md").read_text()


def test_the_page_of_metrics_is_up_to_date() -> None:
    assert guide() == PAGE, "run: python -m aftertone.server.metrics_docs > docs/metrics.md"


def here(settings: Settings, jobs: FakeJobs | None = None) -> TestClient:
    """A program on this machine that asks the server."""
    app = create_app(settings, jobs or FakeJobs())
    return TestClient(app, base_url="http://localhost", client=("127.0.0.1", 50_000))


def read(client: TestClient) -> dict[str, Metric]:
    reply = client.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    return {family.name: family for family in text_string_to_metric_families(reply.text)}


def values(family: Metric, *labels: str) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels[label] for label in labels): sample.value for sample in family.samples}


def test_it_says_how_a_project_stands(make_loop: Callable[..., MemoryLoop]) -> None:
    loop, jobs = make_loop(12), FakeJobs()
    client = here(loop.settings, jobs)
    assert read(client)["aftertone_projects"].samples[0].value == 1
    loop.label_studio.add_task(audio="")
    loop.advance()
    labelled = loop.label(2)
    loop.label_studio.annotate(loop.label_studio.queue()[0], skip=True)
    loop.advance()
    jobs.woken.append(1)
    found = read(client)
    clips = values(found["aftertone_clips"], "project", "state")
    assert clips["1", "train"] + clips["1", "test"] == len(labelled)
    assert clips["1", "unlabelled"] == 12 - len(labelled) - 1
    assert clips["1", "skipped"] == clips["1", "unusable"] == 1
    assert values(found["aftertone_labels"], "project") == {("1",): 2}
    assert values(found["aftertone_rounds"], "project") == {("1",): 1}
    assert values(found["aftertone_served_round"], "project") == {("1",): 0}
    assert values(found["aftertone_queue_depth"]) == {(): 1}
    (waiting,) = values(found["aftertone_step_in_progress"], "project", "step").items()
    assert (waiting[0][1], waiting[1]) == ("waiting for labels", 0)
    loop.store.record_problem("train", "It can't.", 1.0)
    loop.store.record_problem("train", "It can't.", 2.0)
    assert values(read(client)["aftertone_failures"], "project", "step") == {("1", "train"): 2}


def test_requests_are_timed_by_route_and_nobody_can_make_up_series(settings: Settings) -> None:
    client = here(settings)
    client.get("/health")
    client.get("/secret-path")
    client.request("BREW", "/health")
    client.post("/projects/7/pause", json={})
    counted = {
        (sample.labels["route"], sample.labels["method"], sample.labels["status"]): sample.value
        for sample in read(client)["aftertone_request_seconds"].samples
        if sample.name.endswith("_count")
    }
    assert counted["/health", "GET", "200"] == 1
    assert counted["other", "GET", "404"] == 1
    assert counted["/health", "other", "405"] == 1
    assert {route for route, _, _ in counted} == {"/health", "other", "/projects/{project}/pause"}


def test_it_is_guarded_as_other_routes_are(settings: Settings) -> None:
    closed = settings.model_copy(update={"basic_auth_user": "ls", "basic_auth_pass": SecretStr("hunter2")})
    client = TestClient(create_app(closed, FakeJobs()))
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", auth=("ls", "hunter2")).status_code == 200


def test_without_a_password_only_this_machine_may_ask(settings: Settings) -> None:
    app = create_app(settings, FakeJobs())
    for caller, host in (("192.0.2.7", "localhost"), ("127.0.0.1", "evil.example"), ("192.0.2.7", "backend:9090")):
        reply = TestClient(app, base_url=f"http://{host}", client=(caller, 50_000)).get("/metrics")
        assert (reply.status_code, "BASIC_AUTH_USER" in reply.text) == (403, True)
    assert here(settings).get("/metrics").status_code == 200


def test_it_answers_while_redis_is_away_and_files_are_damaged(
    make_loop: Callable[..., MemoryLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = make_loop(12)
    loop.advance()
    (loop.store.folder / "rounds" / "000" / "round.json").write_text("{")

    def away(_: FakeJobs) -> int:
        raise RedisError

    monkeypatch.setattr(FakeJobs, "depth", away)
    found = read(here(loop.settings))
    assert values(found["aftertone_redis_up"]) == {(): 0}
    assert "aftertone_queue_depth" not in found
    assert values(found["aftertone_unreadable"], "project") == {("1",): 1}


def test_every_metric_is_documented(settings: Settings) -> None:
    client = here(settings)
    client.get("/health")
    told = {name.removesuffix("_info") for name in re.findall(r"^\| `(\w+)`", PAGE, re.MULTILINE)}
    assert {name.removesuffix("_info") for name in read(client)} - {"aftertone_request_seconds_created"} <= told
