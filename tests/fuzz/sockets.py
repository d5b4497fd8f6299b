"""What no HTTP client sends: halves, garbage, lies about lengths, floods of connections, drops by the second."""

import asyncio
import random
import re
import time
from collections.abc import Callable

GET = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /webhook HTTP/1.1\r\nHost: a\r\n"
BODY = b'{"project": 1}'

CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"\r\n\r\n"
VERSIONS = [b"GET /health\r\n", b"GET / HTTP/0.9\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
HOSTS = [b"[", b"\xff", b"a b", b"", b"a:99999"]
HEADERS = [b"X : y", b" folded", b"\x00: a", b"A: \x00", b"Host: b", b"Expect: 100-continue"]
TARGETS = [b"*", b"http://[/", b"//", b"/%zz", b"/\xff", b"?", b"a b", b"#"]
ENCODINGS = [b"gzip", b"chunked, chunked", b" x", b"\x0bchunked"]
LENGTHS = [b"-1", b"+5", b"1e3", b"0x5", b"9" * 30, b"\xb2", b""]
CHUNKS = [b"ffffffffffffffff\r\n", b"-1\r\n", b"zz\r\n", b"3\r\nabcdef\r\n", b"5;" + b"x" * 90_000, b"1\r\na"]
UPGRADE = GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n\r\n"

ATTACKS: dict[str, Callable[[random.Random], bytes]] = {
    "half a request": lambda draw: GET[: draw.randrange(1, len(GET))],
    "half a body": lambda draw: POST + b"Content-Length: 100\r\n\r\n" + BODY,
    "garbage": lambda draw: draw.randbytes(draw.randint(1, 2000)) + END,
    "TLS": lambda draw: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + draw.randbytes(500),
    "HTTP/2": lambda draw: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + draw.randbytes(50),
    "an old version": lambda draw: draw.choice(VERSIONS),
    "a huge header": lambda draw: b"GET / HTTP/1.1\r\nX: " + b"a" * draw.choice([9_000, 70_000, 300_000]) + END,
    "many headers": lambda draw: GET[:-2] + b"X: y\r\n" * draw.choice([200, 20_000]) + b"\r\n",
    "a huge target": lambda draw: b"GET /" + b"a" * draw.choice([9_000, 100_000]) + b" HTTP/1.1\r\nHost: a" + END,
    "odd headers": lambda draw: b"GET / HTTP/1.1\r\nHost: " + draw.choice(HOSTS) + b"\r\n" + draw.choice(HEADERS) + END,
    "odd targets": lambda draw: b"GET " + draw.choice(TARGETS) + b" HTTP/1.1\r\nHost: a" + END,
    "a pipeline": lambda draw: GET * draw.choice([5, 100]),
    "a pipeline into garbage": lambda draw: GET * 5 + draw.randbytes(100) + END,
    "an upgrade": lambda draw: UPGRADE,
    "two lengths": lambda draw: POST + b"Content-Length: 14\r\nContent-Length: 3" + END + BODY + GET,
    "length and chunks": lambda draw: POST + b"Content-Length: 4\r\n" + CHUNKED[len(POST) :] + b"0\r\n\r\n" + GET,
    "odd encodings": lambda draw: POST + b"Transfer-Encoding: " + draw.choice(ENCODINGS) + END + b"0\r\n\r\n" + GET,
    "odd lengths": lambda draw: POST + b"Content-Length: " + draw.choice(LENGTHS) + END + BODY,
    "lies of chunks": lambda draw: CHUNKED + draw.choice(CHUNKS),
    "too large": lambda draw: POST + b"Content-Length: 9000000" + END + b" " * 100_000,
    "too large in chunks": lambda draw: CHUNKED + (b"10000\r\n" + b" " * 65_536 + b"\r\n") * 20,
}  # fmt: skip


async def attack(port: int, payload: bytes) -> list[int]:
    """Send bytes and hang up half a second after the last answer. Returns the statuses answered."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return []
    got = b""
    try:
        writer.write(payload)
        await writer.drain()
        while chunk := await asyncio.wait_for(reader.read(65_536), 0.5):
            got += chunk
    except (OSError, TimeoutError):
        pass
    finally:
        writer.transport.abort()
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", got)]


async def flood(port: int, *, connections: int, drip: float, seconds: float) -> dict[str, float]:
    """Open connections that never finish a request, with one more byte each every `drip` seconds.

    Returns:
        How many were opened, how many the server has closed when `seconds` were over, and after how long the last was.
    """
    began = time.perf_counter()
    closed: list[float] = []

    async def one() -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        try:
            writer.write(b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
            while time.perf_counter() - began < seconds:
                writer.write(b"a")
                try:
                    if not await asyncio.wait_for(reader.read(1000), drip):
                        break
                except TimeoutError:
                    continue
            else:
                return
            closed.append(time.perf_counter() - began)
        except OSError:
            closed.append(time.perf_counter() - began)
        finally:
            writer.transport.abort()

    await asyncio.gather(*(one() for _ in range(connections)))
    return {"opened": connections, "closed": len(closed), "last": max(closed, default=0.0)}
