"""Attack a real `aftertone serve` over HTTP, and say what came of it.

    python -m tests.fuzz.http --requests 100000

Half of the requests go to a server that asks for no password, half to one that does, to which every other request gives
it. Of them, 2 % are made by schemathesis from /openapi.json and checked against it, 4 % are bytes that no HTTP client
sends, and the rest are bodies made from a seed. Ends with 1 where an answer was 5xx (503 says that the server is busy,
and counts apart), where /health didn't answer in between, where memory grew, or where a secret stands in the log.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import just
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz import bodies
from tests.fuzz.server import BASIC, SECRET, Server, running
from tests.fuzz.sockets import ATTACKS, attack, flood

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
CLIENTS = 16  # connections that send at a time
SHARES = {"schemathesis": 0.02, "sockets": 0.04}
FLOOD = {"connections": 500, "drip": 2.0, "seconds": 40.0}
GROWTH = 64e6  # bytes that memory may grow by between the first requests and the last
PEAK = 400e6  # bytes above the start that it may reach meanwhile

Seen = Counter[tuple[str, str, str]]  # (who, route, status) -> answers


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    seen: Seen = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for password in (False, True):
            print(f"\n{'with' if password else 'without'} a password", flush=True)
            with running(Path(folder) / f"server-{password}", password=password) as server:
                wrong += fuzz(server, seen, arguments.requests // 2, arguments.seed + password, password=password)
    print(table(seen))
    print("\n".join(dict.fromkeys(wrong)) if wrong else "\nNothing is wrong.")
    sys.exit(bool(wrong))


def fuzz(server: Server, seen: Seen, count: int, number: int, *, password: bool) -> list[str]:
    """Send about `count` requests. Returns what is wrong, as sentences."""
    draw, began = random.Random(number), time.perf_counter()
    asyncio.run(_drive(server.port, Counter(), draw, min(count // 10, 2_000), password=password))
    server.look()
    start = server.memory[-1]
    shares = {name: round(share * count) for name, share in SHARES.items()}
    broken = _schemathesis(server.url, seen, shares["schemathesis"], number, password=password)
    asyncio.run(_attack(server.port, seen, draw, shares["sockets"]))
    flooded = asyncio.run(flood(server.port, **FLOOD))  # type: ignore[arg-type]
    asyncio.run(_drive(server.port, seen, draw, count - sum(shares.values()), password=password))
    server.look()
    end, peak, slowest = server.memory[-1], max(server.memory), max(server.health)
    print(
        f"{count} requests in {time.perf_counter() - began:.0f} s; memory {start / 1e6:.0f} MB at the start, "
        f"{end / 1e6:.0f} at the end, {peak / 1e6:.0f} at most; {len(server.health)} calls of /health, the slowest "
        f"{1000 * slowest:.0f} ms; of {flooded['opened']:.0f} dripping connections {flooded['closed']:.0f} were closed,"
        f" the last after {flooded['last']:.0f} s; log {server.log.stat().st_size / 1e3:.0f} kB",
        flush=True,
    )
    said = server.log.read_text(errors="replace")
    found = [
        *broken,
        *(["The server has ended."] if not server.process.is_running() else []),
        *([f"/health didn't answer {server.unanswered} times."] if server.unanswered else []),
        *([f"Memory grew by {(end - start) / 1e6:.0f} MB."] if end - start > GROWTH else []),
        *([f"Memory reached {peak / 1e6:.0f} MB."] if peak - start > PEAK else []),
        *(f"The log holds a secret: {secret}" for secret in server.leaks()),
        *(["The log holds a traceback:\n" + said[said.index("Traceback") :][:6000]] if "Traceback" in said else []),
    ]
    if flooded["closed"] < flooded["opened"]:
        found.append("Dripping connections stay open.")
    found += [f"{who} {route}: {n} times {s}" for (who, route, s), n in seen.items() if s[0] == "5" and s != "503"]
    return found


async def _drive(port: int, seen: Seen, draw: random.Random, count: int, *, password: bool) -> None:
    """Send bodies made from a seed over connections that stay open."""
    turns = iter(range(count))

    async def client() -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for turn in turns:
            method, path, sent = _request(draw)
            head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(sent)}\r\n"
            if draw.random() < 0.9:
                head += "Content-Type: application/json\r\n"
            if password and turn % 2:
                head += f"Authorization: Basic {BASIC}\r\n"
            elif draw.random() < 0.3:
                head += f"X-Aftertone-Secret: {draw.choice([SECRET, 'wrong'])}\r\n"
                head += f"Authorization: Basic {draw.choice(['', 'eA==', '%'])}\r\n"
            status = "none"
            for _ in range(2):  # the server may have closed an idle connection just now
                reader, writer = connection or await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(head.encode() + b"\r\n" + sent)
                    status, closes = await asyncio.wait_for(_answer(reader, method), 30)
                    connection = (reader, writer)
                    if closes:
                        writer.close()
                        connection = None
                    break
                except (OSError, asyncio.IncompleteReadError):
                    connection = None
                    writer.transport.abort()
            seen["bodies", path if path in (*bodies.ROUTES, *bodies.OTHERS) else "other", status] += 1
        if connection:
            connection[1].close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


def _request(draw: random.Random) -> tuple[str, str, bytes]:
    if draw.random() < 0.92:
        path = draw.choice(bodies.ROUTES)
        return "POST", path, bodies.body(draw, path)
    path = draw.choice([*bodies.ROUTES, *bodies.OTHERS])
    return draw.choice(bodies.METHODS), path, draw.choice([b"", b"{}"])


async def _answer(reader: asyncio.StreamReader, method: str) -> tuple[str, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    await reader.readexactly(0 if method == "HEAD" else length)
    return head.split()[1].decode(), b"connection: close" in head


async def _attack(port: int, seen: Seen, draw: random.Random, count: int) -> None:
    turns = iter(range(count))

    async def client() -> None:
        for _ in turns:
            name = draw.choice([*ATTACKS])
            statuses = await attack(port, ATTACKS[name](draw))
            seen["sockets", name, str(max(statuses)) if statuses else "closed"] += 1

    await asyncio.gather(*(client() for _ in range(4 * CLIENTS)))


def _schemathesis(url: str, seen: Seen, count: int, number: int, *, password: bool) -> list[str]:
    """Requests that fit /openapi.json, and requests that don't, whose answers are checked against it."""
    broken: list[str] = []
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    taking = [operation for operation in operations if operation.path in bodies.ROUTES]
    session = requests.Session()
    session.trust_env = False
    for operation in taking:
        for mode in GenerationMode:
            headers = {"Authorization": f"Basic {BASIC}"} if password and mode is GenerationMode.POSITIVE else None

            def send(case: schemathesis.Case, headers: dict[str, str] | None) -> None:
                response = case.call(base_url=url, session=session, headers=headers)
                seen["schemathesis", case.path, str(response.status_code)] += 1
                try:
                    case.validate_response(response, checks=CHECKS)
                except FailureGroup as failures:
                    broken.extend(f"schemathesis {case.path}: {failure}" for failure in failures.exceptions[:1])

            limits = settings(
                max_examples=max(count // (len(taking) * 2), 1), database=None, deadline=None,
                suppress_health_check=(HealthCheck.too_slow, HealthCheck.filter_too_much), phases=[Phase.generate],
            )  # fmt: skip
            cases = operation.as_strategy(generation_mode=mode)
            seed(number)(limits(given(case=cases, headers=just(headers))(send)))()
    return broken[:5]


def table(seen: Seen) -> str:
    """Answers by who asked what."""
    statuses = sorted({status for _, _, status in seen})
    rows = sorted({(who, route) for who, route, _ in seen})
    lines = [f"\n{'':<46}" + "".join(f"{status:>8}" for status in statuses)]
    for who, route in rows:
        counts = (seen[who, route, status] for status in statuses)
        lines.append(f"{who + ' ' + route:<46}" + "".join(f"{count or '':>8}" for count in counts))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
