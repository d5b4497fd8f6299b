"""A dead `aftertone serve` is noticed by whoever asks, at the address that Label Studio has of it."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone.doctor import servers
from aftertone.doctor.servers import Silent, ask, dead
from aftertone.settings import Settings
from aftertone.store.project import Store
from aftertone.store.records import Connection

UP = json.dumps({"status": "UP", "model_class": "Aftertone"})


@contextmanager
def answering(body: str, status: int = 200) -> Iterator[str]:
    """The address of something that answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/deep/health" else 404)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/deep"
        server.shutdown()


def test_a_backend_that_answers_is_well_whoever_hosts_it() -> None:
    with answering(UP) as url:
        assert ask(url) is None
        assert ask(f"{url}/") is None


@pytest.mark.parametrize(
    ("body", "status"), [(UP, 500), (UP, 404), ("[]", 200), ("<html>", 200), ('{"status": 1}', 200)]
)
def test_something_else_is_no_backend(body: str, status: int) -> None:
    with answering(body, status) as url:
        found = ask(url)
    assert found is not None
    assert found.reason == "something else answers there"


def test_a_dead_a_hanging_and_an_unknown_one_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as hanging:  # takes connections and answers nothing
        port = hanging.getsockname()[1]
        slow = ask(f"http://user:hush@127.0.0.1:{port}")
    gone = ask(f"http://127.0.0.1:{port}")
    nowhere = ask("http://backend.invalid:9090")
    assert slow is not None
    assert gone is not None
    assert nowhere is not None
    assert "no answer within 0.1 s" in slow.sentence
    assert "hush" not in slow.sentence
    assert "nothing answers there" in gone.sentence
    assert nowhere.unknown
    assert dead([slow, gone, nowhere], runs=False) == [slow, gone]
    assert dead([slow, gone, nowhere], runs=True) == []


def test_status_and_doctor_say_that_nobody_serves(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(settings.model_dir)
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    store.project(1).connect(Connection(project=1, label_config="x", url=url))
    monkeypatch.setenv("MODEL_DIR", str(settings.model_dir))
    monkeypatch.setenv("LABEL_STUDIO_URL", url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "key")
    for command in ("status", "doctor"):
        ended = CliRunner().invoke(app, [command])
        assert ended.exit_code == 2
        assert f"Label Studio calls this backend at {url}; nothing answers there" in ended.output
        assert "aftertone serve" in ended.output
    assert isinstance(servers.silent_servers(store)[0], Silent)
