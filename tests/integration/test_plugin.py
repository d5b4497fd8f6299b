"""The adapter under label-studio-ml 1.0.9's own Flask app."""

import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from aftertone.labelstudio.label_config import SMALLEST_CONFIG
from aftertone.pipeline.jobs import JobQueue
from aftertone.plugin import Aftertone
from aftertone.settings import load_settings
from aftertone.store.project import Store
from aftertone.store.records import Connection
from aftertone.store.round_scores import Score
from tests.integration.conftest import job_queue
from tests.unit.aftertone.records import make_round

EVENT = {"action": "ANNOTATION_CREATED", "project": {"id": 5, "label_config": SMALLEST_CONFIG}, "annotation": {"id": 1}}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from label_studio_ml.api import init_app

    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "aftertone"))
    monkeypatch.delenv("REDIS_URL", raising=False)
    with job_queue(load_settings()):
        yield init_app(Aftertone, model_dir=str(tmp_path / "host"), redis_host=None).test_client()


def queue() -> JobQueue:
    settings = load_settings()
    return JobQueue.connect(settings.redis_url, settings.model_dir)


def test_setup_and_predict(host: FlaskClient) -> None:
    setup = {"project": "5.1", "schema": SMALLEST_CONFIG, "hostname": "http://ls", "access_token": "t"}
    assert host.post("/setup", json=setup).status_code == 200
    tasks = [{"id": task, "project": 5, "data": {}, "is_labeled": True} for task in (1, 2, 3)]
    body = {
        "tasks": tasks,
        "project": "5.1",
        "label_config": SMALLEST_CONFIG,
        "params": {"login": None, "context": None},
    }
    untrained = host.post("/predict", json=body).get_json()["results"]
    assert [answer["model_version"] for answer in untrained] == ["untrained"] * 3

    store, record = (
        Store(load_settings().model_dir).project(5),
        make_round(1, kind="trained", classes=("neutral", "happy")),
    )
    score = Score(task=2, clip="a", rank=1, acquisition=0.5, cluster=None, predictions=(0.1, 0.9))
    store.save_draft(record, lambda folder: folder.mkdir())
    store.complete_round(record, [score])
    store.set_current(1)
    tasks[2] = {**tasks[1], "is_labeled": False}
    first, second, hidden = host.post("/predict", json=body).get_json()["results"]
    assert (first["result"], first["score"]) == ([], 0.0)
    assert second["result"][0]["value"] == {"choices": ["happy"]}
    assert hidden["result"] == []


def test_an_event_reaches_the_worker_queue(host: FlaskClient) -> None:
    jobs = queue()
    assert host.post("/webhook", json=EVENT).status_code == 201
    deadline = time.monotonic() + 60
    while not jobs.queue.job_ids and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [job.args for job in jobs.queue.jobs] == [[5]]
    store = Store(load_settings().model_dir)
    assert store.projects() == []  # Label Studio is asked first
    assert list(store.unconfirmed.problems()) == [5]


@pytest.mark.parametrize("call", ["1.0.9", "2.x"])
def test_both_ways_of_calling_fit(host: FlaskClient, call: str) -> None:
    Store(load_settings().model_dir).project(5).connect(Connection(project=5, label_config=SMALLEST_CONFIG))
    hooks = Aftertone(SMALLEST_CONFIG)
    if call == "1.0.9":
        hooks.fit((), event="START_TRAINING", data=EVENT, job_id=1, workdir="x")
    else:
        hooks.fit("START_TRAINING", EVENT)
    assert Store(load_settings().model_dir).project(5).train_requested
    assert [job.args for job in queue().queue.jobs] == [[5]]
