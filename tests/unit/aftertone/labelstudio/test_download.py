"""Fetching against a small server on this machine that plays Label Studio, a bucket and a stranger."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aftertone.errors import AddressError, FetchError
from aftertone.labelstudio.download import Fetcher

AUDIO = b"RIFF" + bytes(1000)


class Handler(BaseHTTPRequestHandler):
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        type(self).seen.append((self.path, self.headers.get("Authorization")))
        other = f"http://127.0.0.1:{self.connection.getsockname()[1]}"  # another name of this machine: another origin
        targets = {
            "/tasks/7/resolve/": f"{other}/signed?key=1",
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
        elif path == "/data/upload/cut.wav":
            self.send_response(200)
            self.send_header("Content-Length", str(2 * len(AUDIO)))
            self.end_headers()
            self.wfile.write(AUDIO)
        elif path in ("/data/upload/a.wav", "/signed", "/ls/data/upload/a.wav"):
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


def fetcher(url: str, *hosts: str, max_bytes: int = 1_000_000) -> Fetcher:
    return Fetcher(FakeLabelStudio(url), hosts=hosts, timeout=30, max_bytes=max_bytes)  # type: ignore[arg-type]


def test_uploads_come_from_label_studio_with_its_token(port: int) -> None:
    assert fetcher(f"http://localhost:{port}").fetch(1, "/data/upload/a.wav") == AUDIO
    assert Handler.seen == [("/data/upload/a.wav", "Bearer secret")]


def test_an_installation_under_a_path_is_found_with_and_without_it(port: int) -> None:
    under = fetcher(f"http://localhost:{port}/ls")
    assert under.fetch(1, "/data/upload/a.wav") == under.fetch(1, "/ls/data/upload/a.wav") == AUDIO


def test_cloud_storage_goes_through_label_studio_and_the_token_stays_there(port: int) -> None:
    assert fetcher(f"http://localhost:{port}").fetch(7, "s3://bucket/a.wav") == AUDIO
    assert Handler.seen == [("/tasks/7/resolve/?fileuri=s3://bucket/a.wav", "Bearer secret"), ("/signed?key=1", None)]


def test_other_hosts_need_the_operators_leave(port: int) -> None:
    address = f"http://127.0.0.1:{port}/signed"
    with pytest.raises(AddressError, match="AUDIO_HOSTS"):
        fetcher(f"http://localhost:{port}").fetch(1, address)
    assert Handler.seen == []
    assert fetcher(f"http://localhost:{port}", "127.0.0.*").fetch(1, address) == AUDIO
    assert Handler.seen == [("/signed", None)]


def test_an_allowed_host_may_not_redirect_elsewhere(port: int) -> None:
    allowed = fetcher("http://label-studio.test", "localhost")
    with pytest.raises(AddressError, match="AUDIO_HOSTS"):
        allowed.fetch(1, f"http://localhost:{port}/data/away")


@pytest.mark.parametrize("source", ["/user/logout?next=http://evil", "/api/projects", "/data", "/x/../api/data/"])
def test_pages_of_label_studio_that_serve_no_audio_are_not_asked(port: int, source: str) -> None:
    with pytest.raises(AddressError):
        fetcher(f"http://localhost:{port}").fetch(1, source)
    assert Handler.seen == []


@pytest.mark.parametrize("source", ["file:///etc/passwd", "//evil/a.wav", "a.wav", "ftp://x/y", "http://[bad"])
def test_addresses_of_other_kinds_are_refused(source: str) -> None:
    with pytest.raises(AddressError):
        fetcher("http://localhost:1").fetch(1, source)


def test_failures_say_why_and_hold_no_address(port: int) -> None:
    with pytest.raises(FetchError, match="404") as error:
        fetcher(f"http://localhost:{port}").fetch(1, "/data/upload/missing.wav?signature=s3cret")
    assert "s3cret" not in str(error.value)
    with pytest.raises(FetchError, match="redirects"):
        fetcher(f"http://localhost:{port}").fetch(1, "/data/loop")
    with pytest.raises(FetchError, match="ConnectError"):
        fetcher("http://localhost:1").fetch(1, "/data/upload/a.wav")


def test_a_file_that_is_too_large_is_not_read_to_its_end(port: int) -> None:
    with pytest.raises(AddressError, match="MAX_AUDIO_MEGABYTES"):
        fetcher(f"http://localhost:{port}", max_bytes=100).fetch(1, "/data/upload/a.wav")


@pytest.mark.parametrize(("name", "said"), [("empty", "nothing"), ("page", "a page"), ("cut", "can't be reached")])
def test_nothing_a_page_or_a_cut_file_in_place_of_audio_is_asked_for_again(port: int, name: str, said: str) -> None:
    with pytest.raises(FetchError, match=said):
        fetcher(f"http://localhost:{port}").fetch(1, f"/data/upload/{name}.wav")
