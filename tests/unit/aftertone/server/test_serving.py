"""`aftertone serve`: what it says before it answers."""

import socket
from contextlib import nullcontext

import pytest
import uvicorn
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone.pipeline.jobs import JobQueue
from aftertone.server import serving
from aftertone.server.serving import serve
from aftertone.settings import Settings
from tests.unit.aftertone.records import FakeJobs


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobQueue, "connect", lambda *_: FakeJobs())
    monkeypatch.setattr(serving, "embedded_redis", lambda _: nullcontext())
    monkeypatch.setattr(serving, "check_start", lambda _: None)
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: None)


def test_only_this_machine_is_listened_to(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        serve(settings.model_copy(update={"redis_url": "redis://r", "port": 0}))
    (said,) = caplog.messages
    assert said.startswith("Serving on http://127.0.0.1:")
    assert not said.endswith(":0")


@pytest.mark.parametrize(("host", "user", "warns"), [("0.0.0.0", "", True), ("0.0.0.0", "u", False), ("::1", "", False),
                                                    ("localhost", "", False), ("::", "", True)])  # fmt: skip
def test_an_open_door_is_said(
    settings: Settings, caplog: pytest.LogCaptureFixture, host: str, user: str, warns: bool
) -> None:
    serve(settings.model_copy(update={"redis_url": "redis://r", "port": 0, "host": host, "basic_auth_user": user}))
    assert any("Anybody who reaches port" in said and "BASIC_AUTH_USER" in said for said in caplog.messages) is warns


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1", "no such host", "x" * 300])
def test_what_can_not_be_listened_on_ends_it_with_a_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for name, value in {"HOST": host, "PORT": taken.getsockname()[1], "REDIS_URL": "redis://r"}.items():
            monkeypatch.setenv(name, str(value))
        result = CliRunner().invoke(app, ["serve"])
    assert result.exit_code == 1
    assert f"Can't listen on HOST={host}" in result.output
    assert "Serving on" not in result.output
