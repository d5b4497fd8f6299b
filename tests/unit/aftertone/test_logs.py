"""Logs: what each record says, and that no line, page, table or export holds a token or a signature."""

import base64
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone.logs import JsonFormatter, TextFormatter, about, note
from aftertone.server.app import create_app
from tests.unit.aftertone.loops import MemoryLoop
from tests.unit.aftertone.records import FakeJobs

TOKEN, PASSWORD, SIGNATURE = "eyJhbGciOiJIUzI1NiJ9.token", "hunter2-password", "deadbeefdeadbeef"
SIGNED = f"https://ann:{PASSWORD}@bucket.example.org/a.wav?X-Amz-Signature={SIGNATURE}#x"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that is logged, as JSON and as text."""
    out, root = io.StringIO(), logging.getLogger()
    handlers = [logging.StreamHandler(out), logging.StreamHandler(out)]
    for handler, form in zip(handlers, (JsonFormatter([TOKEN]), TextFormatter([TOKEN])), strict=True):
        handler.setFormatter(form)
        root.addHandler(handler)
    yield out
    for handler in handlers:
        root.removeHandler(handler)


def test_a_record_says_project_and_round_whoever_logs_it(lines: io.StringIO) -> None:
    log = logging.getLogger("somebody.else")
    note(round=9)  # outside of a job
    with about(project=7):
        log.warning("first")
        note(round=3)
        log.warning("second", extra={"action": "done", "round": 4})
        log.warning("third")
    log.warning("fourth")
    told = [json.loads(line) for line in lines.getvalue().splitlines() if line.startswith("{")]
    assert [(one["message"], one.get("project"), one.get("round")) for one in told] == [
        ("first", 7, None),
        ("second", 7, 4),
        ("third", 7, 3),
        ("fourth", None, None),
    ]
    assert told[1]["action"] == "done"


def test_secrets_of_messages_fields_and_tracebacks_are_taken_out(lines: io.StringIO) -> None:
    log = logging.getLogger("somebody.else")
    try:
        raise OSError(f"can't read {SIGNED}")
    except OSError:
        log.exception("Token %s, address (%s), http://[bad", TOKEN, SIGNED, extra={"source": SIGNED, "seconds": 1.5})
    said = lines.getvalue()
    for secret in (TOKEN, PASSWORD, SIGNATURE):
        assert secret not in said
    assert "https://bucket.example.org/a.wav" in said
    assert json.loads(said.splitlines()[0])["seconds"] == 1.5


@pytest.mark.parametrize(
    "address",
    [
        "https://host/clip(1).wav?X-Amz-Signature=deadbeef&X-Amz-Credential=hunter2",
        "https://host/it's.wav?sig=deadbeef",
        "https://host/a b.wav?a=1&access_token=deadbeef",
        "/a.wav?Signature=deadbeef (Caused by nothing)",
        "//host/a.wav;jsessionid=deadbeef?AWSAccessKeyId=hunter2",
        "/data/local-files/?d=a.wav%3FX-Amz-Signature%3Ddeadbeef",
        "/data/local-files/?x=1&d=s3%253A%252F%252Fu%253Ahunter2%2540b/a.wav (Caused by nothing)",
        f"/tasks/7/resolve/?fileuri={base64.b64encode(b's3://b/a.wav?sig=deadbeef').decode()}",
        f"/tasks/7/resolve/?x=1&amp;fileuri={base64.b64encode(b's3://b/a.wav?sig=deadbeef').decode()}",
        "https://u:pa,hunter2)de]adbeef}deadbeef@host/a.wav",
        f"http://host/tasks/7/resolve/?fileuri={base64.urlsafe_b64encode(b'https://u:hunter2@b/a').decode()}",
        "query d=a.wav%3Fsig%3Ddeadbeef",
        "d=s3%3A%2F%2Fu%3Ahunter2%40b%2Fa.wav",
        f"query (fileuri={base64.b64encode(b's3://b/a.wav?sig=deadbeef').decode()})",
        f"/tasks/7/resolve/%3Ffileuri%3D{base64.b64encode(b's3://b/a.wav?sig=deadbeef').decode()}",
        "https%3A%2F%2Fu%3Ahunter2%40host%2Fa.wav%3Fv%3Ddeadbeef",
        "https%253a%252f%252fu%253ahunter2%2540host%252fa.wav",
        "/a.wav%3FX-Amz-Signature%3Ddeadbeef%26key%3Dhunter2",
        "https://host/a.wav%3Fsig%3Ddeadbeef",
        "/a.wav?key=deadbeef&api_key=hunter2",
        "/a.wav?code=deadbeef&passwd=hunter2",
        "/a.wav?auth=deadbeef&jwt=hunter2",
        "/a.wav#access_token=deadbeef",
        "query X-Amz-Signature=deadbeef&access_token=hunter2",
        "https%3A//u:hunter2@host/a.wav?sig=deadbeef",
        "https:%2F%2Fu:hunter2@host/a.wav",
        "https%3A//u:pa,hunter2)de]adbeef}deadbeef@host/a.wav",
        r"https:\/\/u:hunter2@host\/a.wav",
        "http://proxy/?url=https%3A%2F%2Fu%3Ahunter2%40host%2Fa.wav",
        "http://proxy/https%3A%2F%2Fu%3Ahunter2%40host%2Fa.wav",
        "http://proxy/https://u:hunter2@host/a.wav",
        "/proxy?url=https%3A//u%3Ahunter2@host/a.wav",
        r"/a.wav?a=1\u0026X-Amz-Signature=deadbeef\u0026sig=hunter2",
        r"/a.wav\u003fsig\u003ddeadbeef",
        "password='hunter2' secret = \"deadbeef\" token=b'deadbeef'",
        """"token": 'hunter2', "api_key": "dead beef deadbeef", 'password':'it\\'s hunter2'""",
        r'{"body": "{\"token\": \"hunter2\"}"}',
        "X-Api-Key: hunter2",
        "x-auth-token:deadbeef, X-Aftertone-Secret: hunter2",
        'Cookie: sessionid=hunter2; theme="dark"; csrftoken=deadbeef',
        "Set-Cookie: sessionid=hunter2; Path=/",
        "Authorization: Token hunter2",
        "{'Cookie': 'a=hunter2; b=deadbeef', 'X-Api-Key': 'hunter2'}",
        "[(b'cookie', b'a=hunter2'), (b'authorization', b'Basic deadbeef')]",
        "data:audio/wav;base64,UklGRhunter2+deadbeef/AA==",
        "data:audio/ogg;codecs=opus;base64,hunter2",
    ],
)
def test_no_signature_is_left_wherever_the_address_seems_to_end(lines: io.StringIO, address: str) -> None:
    logging.getLogger("somebody.else").warning("Max retries exceeded with url: %s", address)
    said = lines.getvalue()
    said += " ".join(_decoded(found) for found in re.findall('fileuri(?:=|%3D)([^ "\n)]+)', said))
    assert "deadbeef" not in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "text",
    [
        "Name an option as key=value, or key= to take it back.",
        "round=3 d=5 code=404 key=b",
        "https://host/data/local-files/?d=calls/day%201/a.wav",
        "100%25 of 20%",
        "{'max_tokens': 512, 'tokenizer': 'words', 'key': 'audio', 'passes': 10.0, 'author': 'ann'}",
        "columns ['token', 'label'], a cookie, data: 5 clips; authorization is needed, token: over since 3 s",
        "http://host/a@b.wav C:/ann@home/a.wav calls//ann@home.wav ann@example.org",
        "accuracy='0.71' after 35 % of 2,755 clips; round: 3, seconds: 1.5",
    ],
)
def test_what_holds_no_secret_is_said(lines: io.StringIO, text: str) -> None:
    logging.getLogger("somebody.else").warning(text)
    assert text.replace("%20", "+") in lines.getvalue()


def test_audio_that_is_written_out_is_shortened(lines: io.StringIO) -> None:
    logging.getLogger("somebody.else").warning("Can't decode data:audio/wav;base64,%s, says soundfile.", "UklG" * 999)
    assert "Can't decode data:audio/wav;base64,..., says soundfile." in lines.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "'a.' * 500_000", "'?' + 'sig' * 300_000", "'a://' * 250_000", "'?sig' * 250_000", "'%25' * 300_000",
        "'a%3A%2F%2F' * 100_000", "'d=' * 500_000", "' token' * 200_000",
        "'a%3A%2F%2Fb,' * 90_000", "'a://b:' * 150_000", "'token=\\'a' * 100_000", "'token=\\\\\"a' * 100_000",
        "'cookie: ' * 100_000", "'data:a/b;' * 100_000", "'token: \\'' + 'a' * 900_000", "'a=1\\\\u0026' * 100_000",
    ],
)  # fmt: skip
def test_no_text_of_a_stranger_holds_the_server_up(text: str) -> None:
    """A million characters: a second where time grows with the length, half an hour where it grows with its square."""
    program = f"from aftertone.logs import TextFormatter; assert TextFormatter().safe({text})"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)


def _decoded(fileuri: str) -> str:
    return base64.urlsafe_b64decode(unquote(fileuri)).decode()


def test_nothing_that_leaves_holds_a_secret(
    make_loop: Callable[..., MemoryLoop], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: io.StringIO
) -> None:
    loop = make_loop(1, serve_predictions=True)
    secret = {"label_studio_api_key": SecretStr(TOKEN), "basic_auth_user": "ls", "basic_auth_pass": SecretStr(PASSWORD)}
    loop.settings = loop.settings.model_copy(update=secret)
    for number in range(11):
        loop.label_studio.add_task(audio=f"{SIGNED.partition('?')[0]}-{number + 2}?token={SIGNATURE}")
    loop.advance()
    loop.label(8)
    loop.advance()
    assert loop.last.kind == "trained"

    monkeypatch.setenv("MODEL_DIR", str(loop.settings.model_dir))
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    out = tmp_path / "out"
    out.mkdir()
    commands = [["status"], ["status", "--json"]]
    commands += [["predictions", "1", "--out", str(out / f"a{end}")] for end in (".csv", ".jsonl", ".parquet")]
    commands += [
        ["export", "1", "--out", str(out / kind), "--format", kind] for kind in ("transformers", "onnx", "dataset")
    ]
    pages = []
    for command in commands:
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0 or command[0] == "status", done.output
        pages.append(done.output)
    client = TestClient(create_app(loop.settings, FakeJobs()))
    paths = ("/", "/health", "/metrics", "/versions", "/openapi.json")
    pages += [client.get(path, auth=("ls", PASSWORD)).text for path in paths]
    body = {"project": 1, "label_config": loop.label_studio.state["project"]["label_config"], "tasks": [{"id": 1}]}
    pages.append(client.post("/predict", json=body, auth=("ls", PASSWORD)).text)
    pages.append(lines.getvalue())
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > 20
    for text in [*pages, *(path.read_bytes().decode("latin-1") for path in files)]:
        for secret in (TOKEN, PASSWORD, SIGNATURE):
            assert secret not in text
