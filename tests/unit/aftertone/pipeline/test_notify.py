"""Notifications: what is new is told once, and a webhook that fails costs nothing but itself."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from aftertone.errors import LabelStudioError
from aftertone.pipeline import notify
from aftertone.pipeline.notify import TRIES
from aftertone.settings import Settings
from aftertone_model.evaluation.stopping import Advice
from tests.unit.aftertone.loops import MemoryLoop

MakeLoop = Callable[..., MemoryLoop]


class Receiver:
    """A webhook of somebody's."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.secrets: list[str | None] = []
        self.status = 200
        self.url = ""

    @property
    def events(self) -> list[str]:
        return [body["event"] for body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening(Receiver()) as found:
        yield found


@contextmanager
def listening(receiver: Receiver) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if receiver.status == 200:
                receiver.got.append(body)
                receiver.secrets.append(self.headers.get(notify.SECRET_HEADER))
            self.send_response(receiver.status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://user:hush@127.0.0.1:{server.server_port}/hook?token=hush"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def told(loop: MemoryLoop, receiver: Receiver, **more: Any) -> MemoryLoop:
    update = {"notify_url": SecretStr(receiver.url), "notify_secret": SecretStr("between us"), **more}
    loop.settings = loop.settings.model_copy(update=update)
    return loop


def test_rounds_and_new_problems_are_told_once(
    make_loop: MakeLoop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = told(make_loop(24), receiver)
    loop.advance()
    assert receiver.got == [{"project": 1, "event": "round_published", "sentence": "Round 0 is served to annotators."}]
    assert receiver.secrets == ["between us"]
    loop.advance()
    loop.label_studio.state["predictions"] = []
    loop.advance()  # which publishes the same round again
    assert receiver.events == ["round_published"]
    loop.label(6)
    loop.advance()
    assert receiver.events == ["round_published"] * 2
    assert receiver.got[-1]["sentence"].startswith("Round 1 is served to annotators. Keep labelling: ")

    with monkeypatch.context() as patch:
        for attempt in (1, 2):

            def fail(project: int, attempt: int = attempt) -> None:
                raise LabelStudioError(f"Label Studio can't be reached, attempt {attempt}.")

            patch.setattr(loop.label_studio, "project", fail)
            loop.advance()
    assert receiver.events[2:] == ["problem"]
    assert receiver.got[-1]["sentence"] == "Can't read the project: Label Studio can't be reached, attempt 1."
    loop.advance()
    assert len(receiver.got) == 3


def test_that_there_are_enough_labels_is_told_once(
    make_loop: MakeLoop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = told(make_loop(24), receiver)
    loop.advance()
    for stop in (False, True, True):
        advice = Advice(stop=stop, sentence="More labels will probably change little.", kappa=None, slope=None)
        monkeypatch.setattr("aftertone.pipeline.steps.stop_advice", lambda *_, advice=advice: advice)
        loop.label(6)
        loop.advance()
    assert receiver.events == [*["round_published"] * 3, "enough_labels", "round_published"]
    assert receiver.got[3]["sentence"] == "More labels will probably change little."


def test_what_was_so_before_there_was_an_address_is_no_news(make_loop: MakeLoop, receiver: Receiver) -> None:
    loop = make_loop(24)
    loop.advance()
    told(loop, receiver)
    loop.advance()
    assert receiver.got == []
    loop.label(6)
    loop.advance()
    assert receiver.events == ["round_published"]


def test_a_webhook_that_fails_is_tried_a_few_times_and_holds_up_nothing(
    make_loop: MakeLoop, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    loop = told(make_loop(24), receiver)
    receiver.status = 500
    loop.advance()
    loop.check_queue()
    loop.label(6)
    loop.advance()
    loop.check_queue()
    assert loop.store.round_numbers() == [0, 1]
    receiver.status = 200
    loop.advance()
    assert receiver.events == ["round_published"] * 2
    receiver.status = 302
    loop.label(6)
    for _ in range(TRIES):
        loop.advance()
    assert "it is not tried again" in caplog.text
    receiver.status = 200
    loop.advance()
    assert len(receiver.got) == 2
    assert "hush" not in caplog.text


def test_a_webhook_that_drips_is_left_alone(
    make_loop: MakeLoop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop, end = told(make_loop(12), receiver), threading.Event()

    @contextmanager
    def drip(*args: Any, **options: Any) -> Iterator[None]:
        end.wait(60)
        raise OSError(receiver.url)
        yield

    monkeypatch.setattr(notify, "LONGEST", 0.05)
    monkeypatch.setattr(notify.httpx, "stream", drip)
    loop.advance()
    end.set()
    loop.check_queue()
    assert "127.0.0.1 wasn't notified (it takes too long); it is tried again later" in caplog.text
    assert "hush" not in caplog.text


def test_a_projects_own_address_needs_the_operators_leave(settings: Settings) -> None:
    own = {"notify_url": "http://10.1.2.3/hook"}
    allowed = settings.model_copy(update={"notify_hosts": ("10.1.*",)})
    assert allowed.for_project(own).notify_url.get_secret_value() == own["notify_url"]
    same = settings.model_copy(update={"notify_url": SecretStr("http://10.1.2.3/other")})
    assert same.for_project({}, own).notify_url.get_secret_value() == own["notify_url"]
    with pytest.raises(Exception, match=r"Extra params of the connection: nobody at 10.1.2.3 is notified"):
        settings.for_project(own)
