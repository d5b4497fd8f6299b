"""Fetching against a small server on this machine that plays Label Studio, a bucket and a stranger."""

import gzip
import io
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aftertone.errors import AddressError, FetchError, FetchTimeoutError
from aftertone.labelstudio import deadlines
from aftertone.labelstudio.download import PIECE, Fetcher

AUDIO = b"RIFF" + bytes(1000)


class Handler(BaseHTTPRequestHandler):
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        type(self).seen.append((self.path, self.headers.get("Authorization")))
        other = f"http://127.0.0.1:{self.connection.getsockname()[1]}"  # another name of this machine: another origin
        targets = {
            "/tasks/7/resolve/": f"{other}/signed?key=1",
            "/tasks/8/resolve/": f"{other}/over-once",
            "/tasks/9/resolve/": f"{other}/over",
            "/data/loop": "/data/loop",
            "/data/away": f"{other}/signed",
        }
        path = self.path.partition("?")[0]
        if path in targets:
            self.send_response(303)
            self.send_header("Location", targets[path])
            self.end_headers()
        elif path in ("/data/upload/empty.wav", "/data/upload/page.wav"):
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8" if "page" in path else "audio/wav")
            self.end_headers()
            self.wfile.write(b"<html>Sign in</html>" if "page" in path else b"")
        elif path == "/over" or (path == "/over-once" and [p for p, _ in self.seen].count(path) == 1):
            self.send_error(403, "Request has expired")
        elif path == "/data/upload/cut.wav":
            self.send_response(200)
            self.send_header("Content-Length", str(2 * len(AUDIO)))
            self.end_headers()
            self.wfile.write(AUDIO)
        elif path in ("/data/upload/a.wav", "/signed", "/over-once", "/ls/data/upload/a.wav"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(AUDIO)
        else:
            self.send_error(404)

    def log_message(self, format: str, *_: object) -> None:
        pass


class FakeLabelStudio:
    def __init__(self, url: str) -> None:
        self.url = url

    def authorization(self) -> str:
        return "Bearer secret"

    def resolve_url(self, task: int, uri: str) -> str:
        return f"{self.url}/tasks/{task}/resolve/?fileuri={uri}"


@pytest.fixture
def port() -> Iterator[int]:
    Handler.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


class Opened(Fetcher):
    """A fetcher that returns what it wrote."""

    def read(self, task: int, source: str) -> bytes:
        with io.BytesIO() as file:
            self.fetch(task, source, file)
            return file.getvalue()


def fetcher(url: str, *hosts: str, max_bytes: int = 1_000_000, timeout: float = 30.0) -> Opened:
    made = Opened(FakeLabelStudio(url), hosts=hosts, timeout=timeout, max_bytes=max_bytes)  # type: ignore[arg-type]
    MADE.append(made)
    return made


MADE: list[Fetcher] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().close()


def test_uploads_come_from_label_studio_with_its_token(port: int) -> None:
    assert fetcher(f"http://localhost:{port}").read(1, "/data/upload/a.wav") == AUDIO
    assert Handler.seen == [("/data/upload/a.wav", "Bearer secret")]


def test_a_signature_that_is_over_on_the_way_is_made_anew_once(port: int) -> None:
    own = fetcher(f"http://localhost:{port}")
    assert own.read(8, "s3://bucket/a.wav") == AUDIO
    assert [path.partition("?")[0] for path, _ in Handler.seen] == ["/tasks/8/resolve/", "/over-once"] * 2
    with pytest.raises(FetchError, match="a signed address has expired: put a fresh address into the task"):
        own.read(9, "s3://bucket/a.wav")
    assert [path for path, _ in Handler.seen].count("/over") == 2
    Handler.seen.clear()
    with pytest.raises(FetchError, match="answered 403"):  # an address that the task itself holds stays as it is
        fetcher(f"http://localhost:{port}", "127.0.0.1").read(1, f"http://127.0.0.1:{port}/over")
    assert len(Handler.seen) == 1


def test_an_installation_under_a_path_is_found_with_and_without_it(port: int) -> None:
    under = fetcher(f"http://localhost:{port}/ls")
    assert under.read(1, "/data/upload/a.wav") == under.read(1, "/ls/data/upload/a.wav") == AUDIO


def test_cloud_storage_goes_through_label_studio_and_the_token_stays_there(port: int) -> None:
    assert fetcher(f"http://localhost:{port}").read(7, "s3://bucket/a.wav") == AUDIO
    assert Handler.seen == [("/tasks/7/resolve/?fileuri=s3://bucket/a.wav", "Bearer secret"), ("/signed?key=1", None)]


def test_other_hosts_need_the_operators_leave(port: int) -> None:
    address = f"http://127.0.0.1:{port}/signed"
    with pytest.raises(AddressError, match="AUDIO_HOSTS"):
        fetcher(f"http://localhost:{port}").read(1, address)
    assert Handler.seen == []
    assert fetcher(f"http://localhost:{port}", "127.0.0.*").read(1, address) == AUDIO
    assert Handler.seen == [("/signed", None)]


def test_an_allowed_host_may_not_redirect_elsewhere(port: int) -> None:
    allowed = fetcher("http://label-studio.test", "localhost")
    with pytest.raises(AddressError, match="AUDIO_HOSTS"):
        allowed.read(1, f"http://localhost:{port}/data/away")


@pytest.mark.parametrize("source", ["/user/logout?next=http://evil", "/api/projects", "/data", "/x/../api/data/"])
def test_pages_of_label_studio_that_serve_no_audio_are_not_asked(port: int, source: str) -> None:
    with pytest.raises(AddressError):
        fetcher(f"http://localhost:{port}").read(1, source)
    assert Handler.seen == []


@pytest.mark.parametrize(
    "source",
    [
        *("file:///etc/passwd", "//evil/a.wav", "a.wav", "ftp://x/y", "http://[bad"),
        *("http://h:99999/x.wav", "http://h:abc/x.wav", "http://h:-1/x.wav", "http://h:18150 /x.wav"),
        *("s3://b/\ud800", "http://h/\ud800.wav", "/data/upload/\udcff.wav", "http://h\ud800/"),
    ],
)
def test_addresses_of_other_kinds_are_refused(source: str) -> None:
    with pytest.raises(AddressError):
        fetcher("http://localhost:1").read(1, source)


def test_failures_say_why_and_hold_no_address(port: int) -> None:
    with pytest.raises(FetchError, match="404") as error:
        fetcher(f"http://localhost:{port}").read(1, "/data/upload/missing.wav?signature=s3cret")
    assert "s3cret" not in str(error.value)
    with pytest.raises(FetchError, match="redirects"):
        fetcher(f"http://localhost:{port}").read(1, "/data/loop")
    with pytest.raises(FetchError, match="ConnectError"):
        fetcher("http://localhost:1").read(1, "/data/upload/a.wav")


def test_a_file_that_is_too_large_is_not_read_to_its_end(port: int) -> None:
    with pytest.raises(AddressError, match="MAX_AUDIO_MEGABYTES"):
        fetcher(f"http://localhost:{port}", max_bytes=100).read(1, "/data/upload/a.wav")


@pytest.mark.parametrize(("name", "said"), [("empty", "empty"), ("page", "web page"), ("cut", "can't be reached")])
def test_nothing_a_page_or_a_cut_file_in_place_of_audio_is_asked_for_again(port: int, name: str, said: str) -> None:
    with pytest.raises(FetchError, match=said):
        fetcher(f"http://localhost:{port}").read(1, f"/data/upload/{name}.wav")


# -- servers that misbehave ----------------------------------------------------------------------------------------

Serve = Callable[[socket.socket], None]


@contextmanager
def server(serve: Serve) -> Iterator[str]:
    """Address of a server that does this with every connection once it has got a request."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while connection.recv(65_536) and not over.is_set():
                serve(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/a.wav"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def says(status: str, content: bytes = b"", **headers: str) -> Serve:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if "Content_Length" not in headers:
        lines.append(f"Content-Length: {len(content)}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")

    def serve(connection: socket.socket) -> None:
        connection.sendall(head + content)
        if "Content_Length" in headers:
            connection.shutdown(socket.SHUT_WR)

    return serve


def drips(start: bytes, drop: bytes) -> Serve:
    """Says the start, and then a drop again and again, each well before a time-out between two bytes."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(start)
        pause = threading.Event()
        while True:
            connection.sendall(drop)
            pause.wait(0.02)

    return serve


@pytest.mark.parametrize("status", ["300 Multiple Choices", "304 Not Modified", "302 Found", "204 No Content"])
def test_a_status_without_content_or_location_may_be_tried_again(status: str) -> None:
    with server(says(status)) as address, pytest.raises(FetchError, match=status[:3]):
        fetcher("http://label-studio.test", "127.0.0.1").read(1, address)


@pytest.mark.parametrize("location", ["http://h:99999/x", "http://h:abc/", "http://[bad", "//h:-1/x"])
def test_a_redirect_to_no_address_may_be_tried_again(location: str) -> None:
    with (
        server(says("302 Found", Location=location)) as address,
        pytest.raises(FetchError, match=r"redirects|RemoteProtocol"),
    ):
        fetcher("http://label-studio.test", "127.0.0.1", "h").read(1, address)


@pytest.mark.parametrize(
    "serve",
    [
        lambda connection: threading.Event().wait(30) and None,
        drips(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
        drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        drips(b"HTTP/1.1 200 OK\r\n", b"X-More: y\r\n"),
        drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silent", "drip", "chunks", "chunk header", "headers", "continue"],
)
def test_a_host_that_drips_is_given_up_after_one_timeout(serve: Serve) -> None:
    with server(serve) as address, pytest.raises(FetchTimeoutError, match="AUDIO_TIMEOUT"):
        fetcher("http://label-studio.test", "127.0.0.1", timeout=0.3).read(1, address)


def test_the_deadline_holds_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(drips(b"HTTP/1.1 200 OK\r\n", b"X-More: y\r\n")) as address:
        monkeypatch.setenv("http_proxy", address.removesuffix("/a.wav"))
        with pytest.raises(FetchTimeoutError, match="AUDIO_TIMEOUT"):
            fetcher("http://label-studio.test", "far.test", timeout=0.3).read(1, "http://far.test/a.wav")


def test_a_host_that_is_fast_enough_may_take_longer_than_one_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "LOWEST_RATE", 1)

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
        for _ in range(30):
            connection.sendall(b"x")
            threading.Event().wait(0.02)

    with server(serve) as address:
        assert len(fetcher("http://label-studio.test", "127.0.0.1", timeout=0.3).read(1, address)) == 30


def test_a_host_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "LONGEST", 1)
    endless = drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"400\r\n" + bytes(1024) + b"\r\n")
    with server(endless) as address, pytest.raises(FetchTimeoutError):
        fetcher("http://label-studio.test", "127.0.0.1", timeout=0.3).read(1, address)
    with server(endless) as address, pytest.raises(AddressError, match="MAX_AUDIO_MEGABYTES"):
        fetcher("http://label-studio.test", "127.0.0.1", max_bytes=5_000).read(1, address)


@pytest.mark.parametrize(
    ("serve", "error", "reason"),
    [
        (says("200 OK", Content_Length="0"), FetchError, "empty"),
        (says("200 OK", b"RIFF", Content_Length="9"), FetchError, "RemoteProtocolError"),
        (says("200 OK", b"RIFF", Content_Length="much"), FetchError, "RemoteProtocolError"),
        (says("200 OK", b"RIFF", Content_Length="99999999"), AddressError, "MAX_AUDIO_MEGABYTES"),
        (says("200 OK", b"\n<!DOCTYPE html><title>Log in</title>", Content_Type="audio/wav"), FetchError, "web page"),
        (says("200 OK", b"x", Content_Encoding="br"), FetchError, "packed"),
        (says("200 OK", b"x", Content_Encoding="gzip, gzip"), FetchError, "packed"),
        (says("200 OK", b"no gzip", Content_Encoding="gzip"), FetchError, "unpacked"),
        (says("200 OK", gzip.compress(AUDIO)[:-9], Content_Encoding="gzip"), FetchError, "breaks off"),
    ],
)
def test_strange_content_is_named(serve: Serve, error: type[Exception], reason: str) -> None:
    with server(serve) as address, pytest.raises(error, match=reason):
        fetcher("http://label-studio.test", "127.0.0.1").read(1, address)


def test_packed_audio_is_unpacked_and_a_bomb_is_not_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(says("200 OK", gzip.compress(AUDIO), Content_Encoding="gzip")) as address:
        assert fetcher("http://label-studio.test", "127.0.0.1").read(1, address) == AUDIO
    with server(says("200 OK", zlib.compress(AUDIO), Content_Encoding="deflate")) as address:
        assert fetcher("http://label-studio.test", "127.0.0.1").read(1, address) == AUDIO

    class Sizes(io.BytesIO):
        largest = 0

        def write(self, piece) -> int:  # type: ignore[override]
            self.largest = max(self.largest, len(piece))
            return super().write(piece)

    file = Sizes()
    bomb = gzip.compress(bytes(30_000_000))
    assert len(bomb) < 65_536  # one piece as it arrives
    with server(says("200 OK", bomb, Content_Encoding="gzip")) as address, pytest.raises(AddressError):
        fetcher("http://label-studio.test", "127.0.0.1", max_bytes=3_000_000).fetch(1, address, file)
    assert file.tell() <= 3_000_000
    assert file.largest <= PIECE


@pytest.mark.parametrize(
    ("source", "host"),
    [
        ("/data/upload/a.wav", "ls.test"),
        ("s3://b/a.wav", "ls.test"),
        ("http://H.test/a", "h.test"),
        ("http://[bad", ""),
    ],
)
def test_the_host_that_is_asked_first(source: str, host: str) -> None:
    assert fetcher("http://ls.test").host(source) == host
