"""Connecting a project: what Label Studio says is stored, whoever claimed what."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone.errors import LabelStudioError, TokenError
from aftertone.labelstudio.client import LabelStudio
from aftertone.labelstudio.label_config import SMALLEST_CONFIG
from aftertone.labelstudio.tasks import SECRET_HEADER, Webhook
from aftertone.pipeline.advance import Advance
from aftertone.pipeline.connecting import FINDING, check_start, protect_webhook
from aftertone.pipeline.jobs import JobQueue
from aftertone.pipeline.services import Services
from aftertone.server.events import Events
from aftertone.settings import Settings
from aftertone.status import status
from aftertone.store.lease import LeaseRecord
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Connection, Problem, Warnings
from aftertone_model.errors import StrategyError
from tests.unit.aftertone.fake_label_studio import CONFIG, FakeFetcher, FakeLabelStudio
from tests.unit.aftertone.loops import MemoryLoop, decoders
from tests.unit.aftertone.records import FakeJobs, make_snapshot

URL = "http://backend:9090"


class Worker:
    """A worker that takes every wake-up at once, with the Label Studio that it asks."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.label_studio, self.jobs = settings, FakeLabelStudio(), FakeJobs()
        self.alarms: list[float] = []
        self.asked = 0
        self.broken: LabelStudioError | None = None
        self.events = Events(settings, self.jobs)

    @property
    def store(self) -> ProjectStore:
        return Store(self.settings.model_dir).project(1)

    def connection(self) -> Connection:
        found = self.store.read(Connection)
        assert found is not None
        return found

    def run(self, project: int = 1) -> None:
        Advance(project, self.settings, self.alarms.append, self._connect).run()

    def save_model(self, extra_params: Any = None) -> None:
        """Save a model as a user would: Label Studio calls /setup before it is in its database, and after."""
        for saved in (False, True):
            if saved:
                self.label_studio.state["models"] = [{"url": URL, "extra_params": extra_params}]
            self.events.connected(1, SMALLEST_CONFIG, extra_params)
            self.run()

    @contextmanager
    def _connect(self, settings: Settings) -> Iterator[Services]:
        if self.broken:
            raise self.broken
        self.asked += 1
        yield self.label_studio, FakeFetcher(self.label_studio), decoders()


@pytest.fixture
def worker(settings: Settings) -> Worker:
    return Worker(settings)


@pytest.mark.parametrize(
    ("extra", "kept"), [(None, {}), ("", {}), ('{"seed": 7}', {"seed": 7}), ({"seed": 7}, {"seed": 7})]
)
def test_a_new_project_is_stored_as_label_studio_says(worker: Worker, extra: Any, kept: dict[str, int]) -> None:
    worker.save_model(extra)
    found = worker.connection()
    assert (found.label_config, found.extra_params, found.url) == (CONFIG, kept, URL)
    assert Store(worker.settings.model_dir).unconfirmed.problems() == {}


def test_what_a_stranger_claims_is_not_stored(worker: Worker) -> None:
    worker.save_model({"seed": 7})
    worker.events.connected(1, SMALLEST_CONFIG, {"seed": 8})
    worker.run()
    assert worker.connection().extra_params == {"seed": 7}


def test_a_change_of_options_is_stored_once_it_is_saved(worker: Worker) -> None:
    worker.save_model({"seed": 7})
    worker.save_model({"seed": 8})
    assert worker.connection().extra_params == {"seed": 8}
    assert not worker.store.setup_requested
    calls = worker.label_studio.calls.count("models")
    worker.run()  # nobody asks any more
    assert worker.label_studio.calls.count("models") == calls


def test_options_of_a_model_that_is_gone_stop_nobody(worker: Worker) -> None:
    worker.label_studio.state["models"] = [{"url": URL, "extra_params": {"strategy": "nope"}}]  # an older version's
    worker.events.connected(1, SMALLEST_CONFIG, None)
    worker.run()
    assert worker.store.read(Problem) is not None
    worker.label_studio.state["models"] = [{"url": URL, "extra_params": {"seed": 7}}]  # nobody is told of that
    worker.run()
    assert worker.store.read(Problem) is None
    assert worker.connection().extra_params == {"seed": 7}


def test_asking_makes_no_news_also_with_a_second_model(worker: Worker) -> None:
    """Label Studio calls /setup of every model of the project while it is asked."""
    models = [{"url": URL, "extra_params": {"seed": 7}}, {"url": "http://b", "extra_params": {"seed": 8}}]
    worker.label_studio.state["models"] = models
    answer = worker.label_studio.models

    def ask(project: int) -> Any:
        for model in models:
            worker.events.connected(1, SMALLEST_CONFIG, model["extra_params"])
        return answer(project)

    worker.label_studio.models = ask
    worker.events.connected(1, SMALLEST_CONFIG, {"seed": 7})
    runs = 0
    while runs == 0 or worker.store.setup_requested:
        worker.run()
        runs += 1
        assert runs < 5
    assert worker.connection().extra_params == {"seed": 7}
    worker.store.request_setup()
    worker.run()
    assert not worker.store.setup_requested


def test_a_request_that_arrives_while_label_studio_is_asked_is_kept(worker: Worker) -> None:
    worker.save_model({"seed": 7})
    with worker.store.setup_request() as requested:
        assert not requested
        worker.store.request_setup()
    with pytest.raises(ZeroDivisionError), worker.store.setup_request():
        raise ZeroDivisionError  # a worker is killed, or Label Studio can't be reached
    with worker.store.setup_request() as requested:
        assert requested
    with worker.store.setup_request() as requested:
        assert not requested


def test_a_project_that_label_studio_does_not_know_leaves_nothing(worker: Worker) -> None:
    worker.events.connected(77, SMALLEST_CONFIG, None)
    worker.run(77)
    unconfirmed = Store(worker.settings.model_dir).unconfirmed
    assert not (worker.settings.model_dir / "projects").exists()
    assert worker.alarms == []
    assert unconfirmed.problems() == {}


def test_a_project_whose_model_is_not_saved_leaves_nothing(worker: Worker) -> None:
    worker.events.connected(1, SMALLEST_CONFIG, None)
    worker.run()
    assert not (worker.settings.model_dir / "projects").exists()
    worker.events.connected(1, SMALLEST_CONFIG, None)  # and it may ask again


def test_why_a_project_can_not_be_confirmed_is_shown_until_it_is(worker: Worker) -> None:
    worker.broken = LabelStudioError("Label Studio refuses LABEL_STUDIO_API_KEY.")
    worker.events.connected(1, SMALLEST_CONFIG, None)
    worker.run()
    worker.run()
    assert worker.alarms == [60.0, 120.0]
    shown = status(Store(worker.settings.model_dir))
    assert (shown.projects, shown.unconfirmed) == ((), {1: str(worker.broken)})
    woken = list(worker.jobs.woken)
    worker.events.connected(1, SMALLEST_CONFIG, None)  # asks no faster than it is tried again
    assert worker.jobs.woken == woken
    worker.broken = None
    worker.label_studio.state["models"] = [{"url": URL, "extra_params": None}]
    worker.run()
    assert status(Store(worker.settings.model_dir)).unconfirmed == {}
    assert worker.connection().url == URL


def test_a_disk_that_takes_nothing_is_told_without_a_traceback(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker.broken = LabelStudioError("down")

    def refuse(path: object, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(os, "open", refuse)
    worker.run()
    assert "is read-only" in caplog.text


def test_a_lease_of_a_newer_version_is_told_without_a_traceback(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    worker.save_model()
    (worker.store.folder / LeaseRecord.FILE).write_text('{"schema_version": 2}')
    worker.run()
    assert "a newer Aftertone wrote it" in caplog.text


def test_a_deleted_project_is_asked_for_less_and_less(worker: Worker) -> None:
    worker.save_model()
    worker.label_studio.state["project"]["id"] = 2
    worker.run()
    problem = worker.store.read(Problem)
    assert problem is not None
    assert (problem.step, problem.times) == (FINDING, 1)
    asked = worker.asked
    worker.run()
    assert worker.asked == asked
    worker.store.save(problem.model_copy(update={"at": problem.at - 61}))
    worker.run()
    problem = worker.store.read(Problem)
    assert problem is not None
    assert problem.times == 2
    assert problem.pause(problem.at) == 120
    worker.label_studio.state["project"]["id"] = 1
    worker.events.connected(1, SMALLEST_CONFIG, None)  # its page was opened in Label Studio
    worker.run()
    assert worker.store.read(Problem) is None


# -- at start ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "said"), [("", "LABEL_STUDIO_API_KEY is empty"), ("wrong", "refuses LABEL_STUDIO_API_KEY")]
)
@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_token_that_is_refused_ends_the_command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, key: str, said: str, command: str
) -> None:
    def refuse(*_: object) -> None:
        raise TokenError("Label Studio refuses LABEL_STUDIO_API_KEY.")

    monkeypatch.setattr(LabelStudio, "whoami", refuse)
    for module in ("pipeline.worker", "server.serving"):
        monkeypatch.setattr(f"aftertone.{module}.embedded_redis", lambda _: nullcontext())
    monkeypatch.setattr(JobQueue, "connect", lambda *_, **__: FakeJobs())
    for name, value in {"LABEL_STUDIO_API_KEY": key, "MODEL_DIR": str(settings.model_dir), "PORT": "0"}.items():
        monkeypatch.setenv(name, value)
    ended = CliRunner().invoke(app, [command])
    assert ended.exit_code == 1
    assert said in ended.output
    assert len(ended.output.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("BACKBONE", "/nope", "no folder /nope"),
        ("STRATEGY", "foo", "no strategy 'foo'"),
        ("PORT", "x", "PORT='x'"),
        ("LABEL_STUDIO_API_KEY", "", "LABEL_STUDIO_API_KEY is empty"),
        ("REDIS_URL", "nowhere", "REDIS_URL isn't"),
    ],
)
def test_a_refused_start_says_one_sentence_and_leaves_nothing_behind(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
    value: str,
    said: str,
    command: str,
) -> None:
    monkeypatch.setattr(LabelStudio, "whoami", lambda _: {})
    folder = tmp_path / "new"
    for name, given in {"MODEL_DIR": str(folder), "PORT": "0", "LABEL_STUDIO_API_KEY": "key", variable: value}.items():
        monkeypatch.setenv(name, given)
    ended = CliRunner().invoke(app, [command])
    assert ended.exit_code == 1
    assert said in ended.output
    assert len(ended.output.strip().splitlines()) == 1
    assert not folder.exists()


def test_an_unknown_strategy_ends_the_command(settings: Settings) -> None:
    with pytest.raises(StrategyError, match="There is no strategy 'foo'"):
        check_start(settings.model_copy(update={"strategy": "foo"}))


def test_a_label_studio_that_is_away_at_start_is_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise LabelStudioError("Label Studio can't be reached.")

    monkeypatch.setattr(LabelStudio, "whoami", away)
    check_start(settings.model_copy(update={"label_studio_api_key": SecretStr("key")}))
    assert "tried again" in caplog.text


# -- the webhook's secret ----------------------------------------------------------------------------------------------


def test_the_webhook_gets_a_secret_once_and_keeps_its_other_headers(worker: Worker) -> None:
    label_studio, store = worker.label_studio, worker.store
    label_studio.state["headers"] = {"Authorization": "Basic x"}
    worker.save_model()
    secret = store.webhook_secret
    assert len(secret) > 30
    assert label_studio.state["headers"] == {"Authorization": "Basic x", SECRET_HEADER: secret}
    assert (store.folder / "webhook-secret").stat().st_mode & 0o777 == 0o600
    worker.run()
    assert label_studio.calls.count("set_webhook_headers") == 1
    label_studio.state["headers"] = {}  # the model was connected anew
    worker.run()
    assert label_studio.state["headers"] == {SECRET_HEADER: secret}
    assert secret not in repr(label_studio.webhooks(1))


def test_a_webhook_that_can_not_be_changed_is_a_warning(worker: Worker) -> None:
    worker.save_model()
    worker.label_studio.state |= {"refuses_headers": True, "headers": {}}
    worker.run()
    assert worker.store.read(Problem) is None
    assert "carry no secret" in worker.store.get(Warnings).warnings[0]
    assert worker.store.webhook_secret == ""  # else nothing would be let in
    worker.label_studio.state["refuses_headers"] = False
    worker.run()
    assert worker.store.webhook_secret
    assert not any("secret" in warning for warning in worker.store.get(Warnings).warnings)


def test_other_backends_webhooks_never_get_it(worker: Worker) -> None:
    snapshot = make_snapshot(1, webhooks=(Webhook(id=1, url="http://other:9090/webhook"),))
    assert protect_webhook(worker.label_studio, snapshot, worker.store, URL) == ""
    assert worker.label_studio.calls == []


def test_a_loop_whose_address_is_unknown_goes_on_as_before(make_loop: Callable[..., MemoryLoop]) -> None:
    loop = make_loop(4)
    loop.advance()
    assert loop.problem == ""
    assert loop.store.webhook_secret == ""
