"""Two hundred tasks whose audio can't be used, each broken in a way of its own, and what has to be said of each.

A task holds anything at all in place of an address, an address that nobody should follow, or one of Label Studio at
which something that is no usable recording lies; `serve` is a Label Studio that serves these.
"""

import gzip
import io
import struct
import threading
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from tests.recordings import CONTAINERS, encoded, tone

PREFIX = "/data/upload/1/"
MOST_BYTES = 2_000_000  # of a file
LONGEST = 5.0  # seconds of a clip
RIFF = b"RIFF\xff\xff\xff\x7fWAVEfmt "

NO_ADDRESS = r"has no audio address: .*Correct the task's data"
WRONG_KIND = r"of no kind that can be fetched \(it starts with .*\)\. Upload the audio to Label Studio, connect"
NOT_A_URL = r"can't be read as a URL\. Correct it in the task"
NOT_ALLOWED = r"is not fetched: add the host to AUDIO_HOSTS"
OUR_PAGE = r"a page of Label Studio that serves no audio\. Correct it in the task"
GONE = r"answered (404|410) when asked for the audio\. Upload it again, or correct or delete the task"
LOGIN = r"answered 40[13] .*put a fresh address into the task"
BUSY = r"answered \d+ when asked for the audio\. It is tried again later"
PAGE = r"sent a web page instead of audio\. Open the audio in a browser"
EMPTY = r"sent an empty file \(0 bytes\)\. Upload it again"
BREAKS_OFF = r"can't be reached for the audio, or breaks off .*check the address"
TOO_LARGE = r"larger than MAX_AUDIO_MEGABYTES=2\. Cut it into utterances, or raise"
PACKED = r"Let it send files as they are"
REDIRECTS = r"(More than 5 redirects|redirects the audio to an address).* Correct the (task's )?address"
NOT_AUDIO = r"not audio, or in a format that can't be decoded\. Convert it to WAV or FLAC"
TRUNCATED = r"is truncated: .*Upload it again"
TOO_SHORT = r"The clip lasts 0\.\d+ s; the shortest usable clip is 0\.1 s"
TOO_LONG = r"the limit is 5 s\. Cut it into utterances, or raise the limit"
SILENT = r"is silent: no sample is louder than -80 dBFS\. Check the recording"
NO_NUMBERS = r"not numbers \(NaN or infinity\)\. Export it again"
WRONG_RATE = r"sample rate of \d+ Hz; 1000 to 768000 Hz can be used.* export it again"
UNPLAYABLE = "|".join((NOT_AUDIO, TRUNCATED, TOO_SHORT, WRONG_RATE, SILENT))  # by how far a decoder gets


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a Label Studio answers at one of its addresses."""

    content: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Malformed:
    """One broken task."""

    name: str
    said: str  # pattern of the reason that has to be given
    data: Mapping[str, Any]  # of the task
    reply: Reply | None = None  # where its audio lies at `PREFIX` and its name


def _no_text() -> Iterator[Malformed]:
    """What isn't an address at all."""
    values: dict[str, Any] = {
        "null": None, "empty": "", "zero": 0, "number": 17, "fraction": 0.5, "true": True, "false": False,
        "huge number": 10**300, "empty list": [], "list of one": ["/data/upload/1/good.wav"], "list": [1, None, "x"],
        "nested list": [[["a"]]], "empty object": {}, "object": {"url": "/data/upload/1/good.wav"},
        "deep object": {"a": {"b": {"c": [{}]}}}, "object of an upload": {"file": "a.wav", "size": 7},
    }  # fmt: skip
    for name, value in values.items():
        yield Malformed(name=f"audio is {name}", said=NO_ADDRESS, data={"audio": value})
    for name, data in {
        "no field": {}, "another field": {"sound": "/a.wav"}, "other case": {"Audio": "/a.wav"},
        "a space behind": {"audio ": "/a.wav"}, "speaker alone": {"speaker": "anna"}, "text alone": {"text": "hello"},
    }.items():  # fmt: skip
        yield Malformed(name=name, said=NO_ADDRESS, data=data)


def _addresses(own: str) -> Iterator[Malformed]:
    """Addresses that can't or mustn't be followed."""
    groups: dict[str, tuple[str, ...]] = {
        WRONG_KIND: (
            "audio.wav", "./audio.wav", "../../etc/passwd", "C:\\audio\\a.wav", "\\\\server\\share\\a.wav",
            "//evil.example.org/a.wav", "ftp://evil.example.org/a.wav", "file:///etc/passwd", "javascript:alert(1)",
            "data:audio/wav;base64,UklGRg==", "blob:http://x/1", "mailto:a@example.org", "gopher://x/1", "tel:123",
            "ws://evil.example.org/a", "hdfs://a/b", "ssh://a/b", "http", "www.example.org/a.wav", "   ",
            "\t\n", "None", "nan", "undefined", "null", "0", "-", "?", "#", "é.wav", "звук.wav", "音声.wav", "🎤",
            "\u202egnp.wav", "'; DROP TABLE task; --", "<audio src=a.wav>", "<html><body>a</body></html>",
            '{"audio": "/a.wav"}', "[1, 2]", "$audio", "{{audio}}", "%00", "a" * 1_000_000, "🎤" * 100_000,
            "\ud800", "a\x00.wav", "line one\nline two",
        ),
        NOT_A_URL: (
            "http://[::1", "http://host:99999/a.wav", "http://host:port/a.wav", "https://[not-an-address]/a.wav",
            "http://host:-1/a.wav", "https:", "http://", "http:///a.wav", "http://:80/a.wav",
        ),
        NOT_ALLOWED: (
            "http://[::1]]:80/a.wav", "http://evil.example.org/a.wav", "https://user:pw@evil.example.org/a.wav",
            "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/a.wav", "http://[::ffff:10.0.0.1]/a.wav",
            "http://0/a.wav", "http://2130706433/a.wav", "http://0x7f.1/a.wav", "http://пример.рф/a.wav",
            "http://xn--/a.wav", "http://a..b/a.wav", "http://.../a.wav", "http://evil.example.org\\@good/a.wav",
            "http://evil.example.org:80@good.example.org/a.wav", "http://*/a.wav", "http://-/a.wav",
            f"http://{'a' * 300}.example.org/a.wav", "http://ev il.example.org/a.wav", "https://🎤/a.wav",
            "http://evil.example.org/" + "a" * 100_000,
        ),
        OUR_PAGE: (
            f"{own}/api/current-user/token", f"{own}/user/logout", f"{own}/", "/api/projects/1/export", "/", "/admin/",
            "/data/../api/projects/", "/data/upload/../../api/users", "/static/a.wav",
        ),
        GONE: (
            "s3://bucket/gone.wav", "gs://bucket/gone.wav", "azure-blob://container/gone.wav", "s3://", "s3://b/🎤.wav",
            "/data/upload/1/gone.wav", "/data/local-files/?d=gone.wav", "/data/upload/1/" + "a" * 2_000,
        ),
    }  # fmt: skip
    for said, sources in groups.items():
        pattern = rf"{said}|Label Studio serves local files only with" if said == GONE else said
        for source in sources:
            yield Malformed(name=f"address {source[:40]!a}", said=pattern, data={"audio": source})


def _replies() -> Iterator[Malformed]:
    """Answers that hold no file."""
    html = b"<!DOCTYPE html><html><body>Sign in</body></html>"
    packed, plain = {"Content-Encoding": "gzip"}, encoded(tone(0.5))
    found: dict[str, tuple[str, Reply]] = {
        **{f"status {n}": (LOGIN, Reply(status=n)) for n in (401, 403)},
        "status 410": (GONE, Reply(status=410)),
        **{f"status {n}": (BUSY, Reply(status=n)) for n in (204, 206, 400, 418, 429, 500, 502, 503)},
        "a page": (PAGE, Reply(content=html, headers={"Content-Type": "text/html"})),
        "a page called audio": (PAGE, Reply(content=html, headers={"Content-Type": "audio/wav"})),
        "a page in capitals": (PAGE, Reply(content=b"  \n<HTML>", headers={"Content-Type": "audio/wav"})),
        "nothing": (EMPTY, Reply()),
        "cut off": (BREAKS_OFF, Reply(content=plain[:900], headers={"Content-Length": "9000"})),
        "no HTTP after the head": (BREAKS_OFF, Reply(content=b"zz\r\n", headers={"Transfer-Encoding": "chunked"})),
        "too large by its head": (TOO_LARGE, Reply(content=b"x", headers={"Content-Length": "9000000"})),
        "too large": (TOO_LARGE, Reply(content=bytes(MOST_BYTES + 1))),
        "a bomb": (TOO_LARGE, Reply(content=gzip.compress(bytes(9_000_000)), headers=packed)),
        "packed and torn": (PACKED, Reply(content=gzip.compress(plain)[:-30], headers=packed)),
        "packed in name": (PACKED, Reply(content=plain, headers=packed)),
        "packed strangely": (PACKED, Reply(content=plain, headers={"Content-Encoding": "br"})),
        "a circle": (REDIRECTS, Reply(status=302, headers={"Location": f"{PREFIX}a circle"})),
        "a redirect to nowhere": (BREAKS_OFF, Reply(status=302, headers={"Location": "http://[::1"})),
    }  # fmt: skip
    for name, (said, reply) in found.items():
        yield Malformed(name=name, said=said, data={"audio": PREFIX + name}, reply=reply)


def _wav(samples: np.ndarray, **header: int) -> bytes:
    """A WAV file of samples (S,), with fields of its header replaced by others."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes((samples * 32_767).astype("<i2").tobytes())
    content = bytearray(file.getvalue())
    for name, value in header.items():
        place, form = {"channels": (22, "<H"), "rate": (24, "<I"), "bits": (34, "<H"), "format": (20, "<H")}[name]
        struct.pack_into(form, content, place, value)
    return bytes(content)


def _files() -> Iterator[Malformed]:
    """Files that are no usable recording."""
    sound = tone(0.5)[:, 0]
    floats = partial(encoded, kind="WAV", subtype="FLOAT")
    found: dict[str, tuple[str, bytes]] = {
        "one byte.wav": (NOT_AUDIO, b"R"),
        "zeros.wav": (NOT_AUDIO, bytes(1_000)),
        "text.wav": (NOT_AUDIO, b"hello " * 99),
        "spaces.wav": (NOT_AUDIO, b" " * 500), "json.wav": (NOT_AUDIO, b'{"detail": "Not found."}'),
        "table.csv": (NOT_AUDIO, b"a,b\n1,2\n"), "list.m3u": (NOT_AUDIO, b"#EXTM3U\nhttp://evil.example.org/a.wav\n"),
        "list.m3u8": (NOT_AUDIO, b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n"),
        "list.pls": (NOT_AUDIO, b"[playlist]\nFile1=/etc/passwd\n"),
        "scene.sdp": (NOT_AUDIO, b"v=0\nm=audio 1 RTP/AVP 0\n"),
        "drawing.svg": (NOT_AUDIO, b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "words.srt": (NOT_AUDIO, b"1\n00:00:01,0"),
        "picture.wav": (NOT_AUDIO, b"\x89PNG\r\n\x1a\n" + bytes(200)),
        "photo.wav": (NOT_AUDIO, b"\xff\xd8\xff\xe0" + bytes(99)),
        "page.pdf": (NOT_AUDIO, b"%PDF-1.7\n" + bytes(300)), "archive.zip": (NOT_AUDIO, b"PK\x03\x04" + bytes(300)),
        "packed.wav.gz": (NOT_AUDIO, gzip.compress(_wav(sound))), "program.exe": (NOT_AUDIO, b"MZ" + bytes(300)),
        "program": (NOT_AUDIO, b"\x7fELF" + bytes(300)), "font.woff": (NOT_AUDIO, b"wOFF" + bytes(99)),
        "score.mid": (NOT_AUDIO, b"MThd" + bytes(40)), "noise.wav": (NOT_AUDIO, np.random.default_rng(1).bytes(3_000)),
        "riff.wav": (NOT_AUDIO, RIFF), "avi.wav": (NOT_AUDIO, b"RIFF\x00\x01\x00\x00AVI LIST" + bytes(99)),
        "no channels.wav": (UNPLAYABLE, _wav(sound, channels=0)), "no bits.wav": (UNPLAYABLE, _wav(sound, bits=0)),
        "unknown codec.wav": (UNPLAYABLE, _wav(sound, format=0x7777)),
        "rate 0.wav": (rf"{WRONG_RATE}|{NOT_AUDIO}", _wav(sound, rate=0)),
        "rate 1.wav": (rf"{WRONG_RATE}|{TOO_LONG}", _wav(sound[:100], rate=1)),
        "rate 999.wav": (WRONG_RATE, _wav(sound[:2_000], rate=999)),
        "rate 4e9.wav": (rf"{WRONG_RATE}|{NOT_AUDIO}", _wav(sound, rate=2**32 - 1)),
        "header alone.wav": (TRUNCATED, _wav(sound)[:44]), "one sample.wav": (TOO_SHORT, _wav(sound[:1])),
        "ten samples.wav": (TOO_SHORT, _wav(sound[:10])), "almost.wav": (TOO_SHORT, _wav(sound[:1_599])),
        "silence.wav": (SILENT, _wav(0 * sound)), "hum.wav": (SILENT, floats(1e-5 * tone(0.5))),
        "nan.wav": (NO_NUMBERS, floats(np.full((8_000, 1), np.nan))),
        "inf.wav": (NO_NUMBERS, floats(np.full((8_000, 1), np.inf))),
        "half nan.wav": (NO_NUMBERS, floats(np.where(np.arange(8_000) > 4_000, np.nan, 0.1)[:, None])),
        "long.wav": (TOO_LONG, encoded(tone(5.1, rate=8_000), rate=8_000)),
        "long.flac": (TOO_LONG, encoded(tone(6.0), kind="FLAC")),
        "long.mp3": (TOO_LONG, CONTAINERS["layer3.mp3"](tone(9), 16_000)),
        "long.m4a": (TOO_LONG, CONTAINERS["aac.m4a"](tone(7), 16_000)),
    }  # fmt: skip
    for name, (said, content) in found.items():
        yield Malformed(name=name, said=said, data={"audio": PREFIX + name}, reply=Reply(content=content))
    for name, encode in CONTAINERS.items():
        content = encode(tone(0.5), 16_000)
        for part, kept in (("start", content[:24]), ("garbled", content[:8] + bytes(len(content) - 8))):
            named = f"{part} {name}"
            yield Malformed(name=named, said=UNPLAYABLE, data={"audio": PREFIX + named}, reply=Reply(content=kept))


def malformed(own: str) -> list[Malformed]:
    """All of them. `own`: the address of the Label Studio that they are tasks of."""
    return [*_no_text(), *_addresses(own), *_replies(), *_files()]


@contextmanager
def serve(files: Mapping[str, Reply]) -> Iterator[str]:
    """A Label Studio's address that serves these replies, by path; everything else is unknown there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = files.get(unquote(urlsplit(self.path).path), Reply(status=404))
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # who asked has read enough
                self.wfile.write(reply.content)

        def log_message(self, format: str, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
