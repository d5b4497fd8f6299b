"""A short run of the fuzzer's requests in this process. `python -m tests.fuzz.http` runs against a real server."""

import json
import random

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as limits
from schemathesis.generation import GenerationMode
from starlette.testclient import TestClient

from aftertone.server.app import create_app
from aftertone.server.openapi import describe
from aftertone.settings import Settings
from aftertone.store.project import Store
from tests.fuzz import bodies
from tests.fuzz.server import fill
from tests.unit.aftertone.records import FakeJobs

CHECKS = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


def test_whatever_is_sent_is_answered_or_refused_in_one_form(settings: Settings) -> None:
    fill(settings.model_dir)
    client, draw = TestClient(create_app(settings, FakeJobs())), random.Random(0)
    for _ in range(600):
        path = draw.choice(bodies.ROUTES)
        sent = bodies.body(draw, path)
        reply = client.post(path, content=sent)
        assert reply.status_code in (200, 400, 413, 422, 429), sent
        assert reply.status_code == 200 or set(reply.json()) == {"error", "detail"}
    assert Store(settings.model_dir).projects() == [1]


def test_the_description_tells_what_is_answered(settings: Settings) -> None:
    client = TestClient(create_app(settings, FakeJobs()))
    for found in schemathesis.openapi.from_dict(describe(asks_password=False)).get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        if operation.path not in bodies.ROUTES:
            continue
        for mode in GenerationMode:

            @seed(0)
            @limits(max_examples=4, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=CHECKS)
            @given(case=operation.as_strategy(generation_mode=mode))
            def send(case: schemathesis.Case) -> None:
                sent = case.as_transport_kwargs("")
                body = sent["data"] if "data" in sent else json.dumps(sent.get("json")).encode()
                reply = client.post(case.path, content=body)
                assert str(reply.status_code) in case.operation.definition.raw["responses"]

            send()
