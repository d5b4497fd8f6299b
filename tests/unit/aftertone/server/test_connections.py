"""Connections that take too long, or are too many, on a real socket."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from aftertone.server import connections
from aftertone.server.app import create_app
from aftertone.server.connections import BoundedConnection
from aftertone.settings import Settings
from aftertone.store.exports import ExportFolder
from aftertone.store.project import Store
from tests.unit.aftertone.records import FakeJobs

GET = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: "
Connect = Callable[[], socket.socket]


@pytest.fixture
def connect(settings: Settings) -> Iterator[Connect]:
    """Opens connections to a server of its own."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=200)
    app = create_app(settings, FakeJobs())
    config = uvicorn.Config(app, http=BoundedConnection, ws="none", lifespan="off", log_config=None, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        opened.append(socket.create_connection(listener.getsockname(), timeout=30))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()
    server.should_exit = True
    thread.join()
    listener.close()


@contextmanager
def soon(monkeypatch: pytest.MonkeyPatch, **limits: float) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(connections, name, value)
        yield


def read(connection: socket.socket) -> bytes:
    """Everything that arrives until the server closes the connection."""
    got = b""
    try:
        while chunk := connection.recv(65_536):
            got += chunk
    except ConnectionResetError:
        pass
    return got


@pytest.mark.parametrize("sent", [b"", GET[:20], POST + b"100\r\n\r\n{", GET + GET[:9], GET + POST + b"5\r\n\r\n"])
def test_a_request_that_never_ends_is_given_up(connect: Connect, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    with soon(monkeypatch, RECEIVING_SECONDS=0.2):
        connection = connect()
        connection.sendall(sent)
        assert read(connection).count(b"HTTP/1.1 200 OK") == sent.count(GET)


def test_one_byte_at_a_time_does_not_help(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with soon(monkeypatch, RECEIVING_SECONDS=0.2):
        connection = connect()
        connection.sendall(POST + b"100000\r\n\r\n")
        connection.settimeout(0.02)
        for _ in range(500):
            try:
                connection.sendall(b"a")
                if not connection.recv(1):
                    break
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                break
        else:
            pytest.fail("it stays open")


def test_an_answer_that_nobody_reads_is_given_up(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with soon(monkeypatch, ANSWERING_SECONDS=0.3):
        connection = connect()
        connection.settimeout(0.1)
        description = GET.replace(b"health", b"openapi.json")
        for _ in range(10_000):
            try:
                connection.sendall(description * 100)
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                break
        else:
            pytest.fail("it stays open")


def test_a_download_may_take_longer_than_other_answers(
    connect: Connect, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = ExportFolder(Store(settings.model_dir).project(1))
    exports.folder.mkdir(parents=True)
    exports.begin("transformers", 1, "v", 1.0)
    with exports.making() as folder:
        (folder / "x").write_bytes(b"x" * 30_000_000)
        exports.ready("transformers", folder / "x", "a.zip", 2.0, number=2, version="v")
    with soon(monkeypatch, ANSWERING_SECONDS=0.1):
        connection = connect()
        connection.sendall(b"GET /projects/1/exports/a.zip HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        threading.Event().wait(0.3)  # a slow line
        assert read(connection).count(b"x") >= 30_000_000


def test_requests_one_after_the_other_have_each_their_time(connect: Connect) -> None:
    connection = connect()
    for _ in range(3):
        connection.sendall(GET)
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 200 OK")
    connection.sendall(GET * 5 + GET.replace(b"Host: a", b"Host: a\r\nConnection: close"))
    assert read(connection).count(b"HTTP/1.1 200 OK") == 6


def test_too_many_silent_connections_make_room_for_one_that_speaks(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    with soon(monkeypatch, MOST=20):
        silent = [connect() for _ in range(40)]
        speaking = connect()
        speaking.sendall(GET)
        assert speaking.recv(65_536).startswith(b"HTTP/1.1 200 OK")
        assert [read(connection) for connection in silent[:20]] == [b""] * 20


def test_what_is_no_http_is_refused_in_the_same_form(connect: Connect) -> None:
    connection = connect()
    connection.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
    reply = read(connection)
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b'"error":"BadRequest","detail":"' in reply


def test_a_body_that_turns_into_nonsense_does_no_harm(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    connection = connect()
    connection.sendall(POST.replace(b"Content-Length: ", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{"))
    connection.sendall(b"\r\nzz\r\n")
    assert b"HTTP/1.1 400 " in read(connection)
    assert connect_and_get(connect).startswith(b"HTTP/1.1 200 OK")
    assert not caplog.records


def connect_and_get(connect: Connect) -> bytes:
    connection = connect()
    connection.sendall(GET)
    return connection.recv(65_536)


def test_garbage_in_the_middle_of_an_answer_does_no_harm(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    connection = connect()
    connection.sendall(GET * 3 + b"\x00\x01garbage\r\n\r\n")
    assert read(connection).count(b"HTTP/1.1 200 OK") in range(4)
    assert not [record for record in caplog.records if record.name == "asyncio"]
