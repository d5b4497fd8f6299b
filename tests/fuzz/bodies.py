"""Bodies that Label Studio, somebody careless, or somebody hostile may send: made from a seed, fast."""

import json
import random
from collections.abc import Callable
from typing import Any

from aftertone.labelstudio.label_config import SMALLEST_CONFIG

ROUTES = ("/setup", "/predict", "/webhook")
OTHERS = (
    "/",
    "/health",
    "/versions",
    "/openapi.json",
    "/docs",
    "/setup/",
    "/predict?x=1",
    "/%00",
    "/../etc/passwd",
    "/x",
)
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "FOO")
ACCESS_TOKEN = "0123456789abcdef0123456789abcdef01234567"  # as Label Studio sends it along; must never reach a log
NUMBERS = ["0", "-1", "1", "2", "77", "5.5", "1e3", "1E400", "-0", "NaN", "Infinity", "9223372036854775807",
           "9223372036854775808", "9" * 400, "9" * 4000, "0x10", "01", "1_000"]  # fmt: skip
NAMES = ["id", "batch_size", "host", "", "\ud800", "a\nb"]
TEXTS = ["", "1.1795222710", "5", "\u0665", "\ud800", "\udfff\ud800", "\x00", "é" * 50, "🎧", "<View/>",
         "'; DROP TABLE x", "{{7*7}}", "%s%n", "../../etc/passwd", "\r\nSet-Cookie: a=b", "x" * 5000, SMALLEST_CONFIG,
         '{"batch_size": 9}', "[" * 2000, "START_TRAINING"]  # fmt: skip


def body(draw: random.Random, path: str) -> bytes:
    """One body for a route: as Label Studio sends it, with a part of it replaced, or of no form at all."""
    kind = draw.random()
    if kind < 0.25:
        return json.dumps(_right(draw, path)).encode()
    if kind < 0.65:
        right = _right(draw, path)
        for _ in range(draw.randint(1, 3)):
            right[draw.choice([*right, "extra"])] = _Raw(_value(draw))
        return _dump(right)
    if kind < 0.85:
        return _garble(draw, json.dumps(_right(draw, path)).encode())
    return draw.choice(_ODD)(draw)


def _right(draw: random.Random, path: str) -> dict[str, Any]:
    project = draw.choice(["1.1795222710", "1", 1, draw.randint(2, 10**6), f"{draw.randint(1, 300)}.1"])
    if path == "/setup":
        extra = draw.choice([None, "", {}, [], {"batch_size": draw.randint(1, 99)}, '{"strategy": "entropy"}'])
        return {"project": project, "schema": SMALLEST_CONFIG, "hostname": "http://ls", "access_token": ACCESS_TOKEN,
                "extra_params": extra}  # fmt: skip
    if path == "/predict":
        tasks = [{"id": draw.randint(1, 30), "data": {"audio": "/a.wav"}} for _ in range(draw.randint(0, 5))]
        params = {"login": None, "password": None, "context": None}
        return {"tasks": tasks, "project": project, "label_config": SMALLEST_CONFIG, "params": params}
    action = draw.choice(["ANNOTATION_CREATED", "TASKS_CREATED", "START_TRAINING", "PROJECT_UPDATED"])
    return {"action": action, "project": {"id": project, "title": "t"}, "annotation": {"id": 1, "result": []}}


class _Raw:
    """JSON, or what should be JSON, that goes into the body as it is."""

    def __init__(self, text: str) -> None:
        self.text = text


def _dump(record: dict[str, Any]) -> bytes:
    parts = (
        f"{json.dumps(key)}: {value.text if isinstance(value, _Raw) else json.dumps(value)}"
        for key, value in record.items()
    )
    return f"{{{', '.join(parts)}}}".encode(errors="surrogatepass")


def _value(draw: random.Random, depth: int = 0) -> str:
    kind = draw.randrange(8 if depth < 4 else 4)
    if kind == 0:
        return draw.choice(["null", "true", "false"])
    if kind == 1:
        return draw.choice(NUMBERS)
    if kind in (2, 3):
        text = draw.choice(TEXTS)
        return json.dumps(text, ensure_ascii=draw.random() < 0.5)
    if kind == 4:
        deep = draw.choice([50, 200, 1000, 5000])
        opening, closing = draw.choice([("[", "]"), ('{"a":', "}")])
        return opening * deep + "1" + closing * deep
    if kind == 5:
        return "[" + ",".join(_value(draw, depth + 1) for _ in range(draw.randint(0, 4))) + "]"
    names = [json.dumps(draw.choice(NAMES)) for _ in range(draw.randint(0, 3))]
    return "{" + ",".join(f"{name}: {_value(draw, depth + 1)}" for name in names) + "}"


def _garble(draw: random.Random, whole: bytes) -> bytes:
    spoilt = bytearray(whole)
    for _ in range(draw.randint(1, 8)):
        at = draw.randrange(len(spoilt))
        match draw.randrange(4):
            case 0:
                spoilt[at] = draw.randrange(256)
            case 1:
                del spoilt[at : at + draw.randint(1, 20)]
            case 2:
                spoilt[at:at] = draw.randbytes(draw.randint(1, 5))
            case _:
                spoilt[at:at] = spoilt[: draw.randint(1, 40)]
        if not spoilt:
            break
    return bytes(spoilt)


_ODD: list[Callable[[random.Random], bytes]] = [
    lambda draw: b"",
    lambda draw: draw.randbytes(draw.randint(1, 300)),
    lambda draw: _value(draw).encode(errors="surrogatepass"),
    lambda draw: b"\xff\xfe" + '{"project": 1}'.encode("utf-16-le"),
    lambda draw: b'{"project": 1, "project": {}}',
    lambda draw: b"[" * draw.choice([100, 10_000, 100_000]),
    lambda draw: b'{"project": 1, "tasks": [' + b"{}," * draw.choice([100, 10_000]) + b"{}]}",
    lambda draw: b'{"project": 1, "tasks": ' + draw.choice([b"-1", b"[1]", b"[{}]", b"{}", b'"x"', b"[[]]"]) + b"}",
]
