"""Search by an uploaded file: it is judged as the pool's clips were, by whoever may press buttons, and not kept."""

import asyncio
import io
import signal
import sys
from collections.abc import Callable
from os import environ
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect, Request
from starlette.testclient import TestClient

from aftertone.page import children, routes
from aftertone.page.children import environment
from aftertone.page.listening import Heard, file_of, listen
from aftertone.page.routes import MOST_UPLOADS, Page
from aftertone.page.search import near_clip, near_upload
from aftertone.page.sounds import wav
from aftertone.server.app import create_app
from aftertone.settings import Settings, load_settings
from aftertone.store.project import ProjectStore
from aftertone_model.errors import AftertoneError, AudioError
from tests.unit.aftertone.loops import MemoryLoop
from tests.unit.aftertone.made_store import make_project
from tests.unit.aftertone.records import FakeJobs

BROWSER = {"Accept": "text/html", "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}

UPLOAD = {
    "type": "http", "method": "POST", "path": "/", "query_string": b"", "path_params": {"project": "1"},
    "client": ("127.0.0.1", 1), "headers": [
        (b"host", b"localhost"), (b"origin", b"http://localhost"),
        (b"content-type", b"multipart/form-data; boundary=----b"),
    ],
}  # fmt: skip
"""What a browser of this machine asks, as ASGI has it."""


@pytest.fixture
def trained(make_loop: Callable[..., MemoryLoop]) -> MemoryLoop:
    """A project with a trained round."""
    loop = make_loop(24)
    loop.advance()
    loop.label(8)
    loop.advance()
    assert loop.last.kind == "trained"
    return loop


@pytest.fixture
def made(settings: Settings) -> ProjectStore:
    return make_project(settings.model_dir, clips=40, rounds=1)


def caller(settings: Settings) -> TestClient:
    return TestClient(create_app(settings, FakeJobs()), base_url="http://localhost", client=("127.0.0.1", 50_000))


def clip_of(loop: MemoryLoop) -> tuple[str, NDArray[np.int16]]:
    clip = sorted(loop.store.pool.clip_ids())[3]
    samples = loop.store.samples(clip)
    assert samples is not None
    return clip, samples


def test_a_clip_of_the_pool_is_judged_as_the_round_judged_it(trained: MemoryLoop) -> None:
    clip, samples = clip_of(trained)
    number, store = trained.last.number, trained.store
    heard = listen(store, trained.settings, number, wav(samples))
    ids, embeddings = sorted(store.pool.clip_ids()), store.embeddings(number)
    assert embeddings is not None
    assert heard.seconds == pytest.approx(len(samples) / 16_000)
    assert heard.components == pytest.approx(embeddings[ids.index(clip)].tolist(), abs=0.02)
    known = {score.clip: score.predictions for score in store.scores(number)[1].values()}
    assert heard.predictions == pytest.approx(known[clip], abs=1e-3)
    by_upload = [one.clip for one in near_upload(store, heard.components, heard.predictions) if one.clip != clip]
    by_clip = [one.clip for one in near_clip(store, clip)]
    assert len(set(by_upload[:8]) & set(by_clip[:8])) >= 7


def test_a_browser_uploads_a_file_and_nothing_of_it_stays(trained: MemoryLoop, tmp_path: Path) -> None:
    samples, settings = clip_of(trained)[1], trained.settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path))
        patch.setattr("tempfile.tempdir", str(tmp_path))
        before = {path.relative_to(settings.model_dir) for path in settings.model_dir.rglob("*")}
        shown = caller(settings).post("/projects/1/search", files={"file": ("a.wav", wav(samples))}, headers=BROWSER)
    assert shown.status_code == 200
    assert "like an uploaded one" in shown.text
    assert "The model says" in shown.text
    assert shown.text.count('name="clips"') > 3
    assert {path.relative_to(settings.model_dir) for path in settings.model_dir.rglob("*")} == before
    assert not list(tmp_path.glob("tmp*"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no audio at all", "format"),
        (wav(np.zeros(16_000, np.int16)), "silent"),
        (wav((8_000 * np.sin(np.arange(48_000))).astype(np.int16)), "the limit is 2 s"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_why(
    settings: Settings, made: ProjectStore, content: bytes, said: str
) -> None:
    with pytest.raises(AudioError, match=said):
        listen(made, settings.model_copy(update={"max_clip_seconds": 2.0}), 1, content)


def test_a_form_without_a_file_is_told_so() -> None:
    with pytest.raises(AftertoneError, match="no file"):
        file_of(_form(b""))


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"Content-Type: multipart/form-data\r\n\r\nabc",
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + b"\r\n--b" * 1_000_000,
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n" + b"a:" * 1_000_000,
        b"Content-Type: multipart/form-data; boundary*=utf-8''%E2%82%AC\r\n\r\nabc",
    ],
    ids=["nothing", "no-boundary", "parts", "headers", "no-latin"],
)
def test_a_form_as_no_browser_sends_it_holds_no_file(form: bytes) -> None:
    with pytest.raises(AftertoneError, match="no file"):
        file_of(form)


def test_the_file_is_found_among_other_fields_and_whatever_its_name() -> None:
    other = b'------b\r\nContent-Disposition: form-data; name="class"\r\n\r\nsad\r\n'
    form = _form(b"abc").replace(b"------b", other + b"------b", 1).replace(b"a.wav", "ä日.wav".encode())
    assert file_of(form) == b"abc"


def test_bytes_arrive_as_they_were_sent() -> None:
    content = bytes(np.random.default_rng(0).integers(0, 256, 50_000).tolist()) + b"\r\n\r\n--x\r\r\n\n"
    assert file_of(_form(content)) == content


def _form(content: bytes) -> bytes:
    head = b"Content-Type: multipart/form-data; boundary=----b\r\n\r\n------b\r\n"
    part = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    return head + part + content + b"\r\n------b--\r\n"


def test_only_this_page_uploads_and_only_so_much(
    settings: Settings, made: ProjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made.projection(1) is None  # so that no file is listened to
    form = {"file": ("a.wav", b"x" * 200)}
    for headers in ({}, {"Origin": "http://evil.example"}, {**BROWSER, "Sec-Fetch-Site": "same-site"}):
        assert caller(settings).post("/projects/1/search", files=form, headers=headers).status_code == 403
    shown = caller(settings).post("/projects/1/search", data={"file": "x"}, headers=BROWSER)
    assert (shown.status_code, "no file" in shown.text) == (400, True)
    monkeypatch.setattr(routes, "UPLOAD", 100)
    shown = caller(settings).post("/projects/1/search", files=form, headers=BROWSER)
    assert (shown.status_code, "too large" in shown.text) == (400, True)


def test_a_process_of_the_page_gets_no_secret(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "hunter2")
    monkeypatch.setenv("BASIC_AUTH_USER", "me")
    monkeypatch.setenv("BASIC_AUTH_PASS", "hunter2")
    monkeypatch.setenv("NOTIFY_URL", "https://me:hunter2@example.org/")
    monkeypatch.setenv("NOTIFY_SECRET", "hunter2")
    given = environment(settings)
    assert not any("hunter2" in value for value in given.values())
    assert given["MODEL_DIR"] == str(settings.model_dir)
    for name in environ.keys() - given.keys():
        monkeypatch.delenv(name)
    load_settings()  # which refuses a user name without a password


def test_a_slow_upload_keeps_nobody_from_being_heard(
    settings: Settings, made: ProjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def heard(*_: Any, **__: Any) -> bytes:
        return Heard(error="heard").model_dump_json().encode()

    monkeypatch.setattr(children, "run", heard)
    page = Page(settings, cast(Any, None))

    def sending(*messages: Any) -> Callable[[], Any]:
        left = iter(messages)

        async def receive() -> Any:
            if (message := next(left, None)) is None:
                await asyncio.Event().wait()  # for ever
            return message

        return receive

    whole = {"type": "http.request", "body": _form(b"x"), "more_body": False}

    async def upload(receive: Callable[[], Any]) -> str:
        return bytes((await page.upload(Request(UPLOAD, receive))).body).decode()

    async def play() -> None:
        slow = [asyncio.ensure_future(upload(sending())) for _ in range(MOST_UPLOADS - 1)]
        await asyncio.sleep(0)
        while page._arriving < len(slow):
            await asyncio.sleep(0.01)
        assert "heard" in await upload(sending(whole))
        slow.append(asyncio.ensure_future(upload(sending())))
        while page._arriving < len(slow):
            await asyncio.sleep(0.01)
        with pytest.raises(AftertoneError, match="Several files arrive"):
            await upload(sending(whole))
        for one in slow:
            one.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        assert (page._arriving, page._children) == (0, 0)
        assert "heard" in await upload(sending(whole))

    asyncio.run(play())


def test_the_page_says_how_long_it_takes(settings: Settings, made: ProjectStore) -> None:
    assert "It takes 10 to 20 s" in caller(settings).get("/projects/1/search", headers=BROWSER).text


def test_every_usual_format_is_understood(trained: MemoryLoop) -> None:
    soundfile, samples = pytest.importorskip("soundfile"), clip_of(trained)[1]
    for kind in ("FLAC", "OGG", "MP3"):
        file = io.BytesIO()
        soundfile.write(file, samples, 16_000, format=kind)
        heard = listen(trained.store, trained.settings, trained.last.number, file.getvalue())
        assert heard.seconds == pytest.approx(len(samples) / 16_000, abs=0.2)


def test_a_process_ends_with_whoever_waits_for_it(
    settings: Settings, made: ProjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "_command", lambda *_: [sys.executable, "-c", "import time; time.sleep(30)"])
    started, begin = [], asyncio.create_subprocess_exec

    async def noted(*arguments: Any, **named: Any) -> Any:
        started.append(await begin(*arguments, **named))
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    page = Page(settings, cast(Any, None))
    arriving = iter([{"type": "http.request", "body": _form(b"x"), "more_body": False}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        await asyncio.sleep(0.1)
        return next(arriving)

    with pytest.raises(ClientDisconnect):
        asyncio.run(page.upload(Request(UPLOAD, receive)))
    assert [process.returncode for process in started] == [-signal.SIGKILL]
    assert page._children == 0  # the next one isn't told to wait
