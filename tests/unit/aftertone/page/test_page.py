"""The status page: what browsers are shown, who may look, and whose buttons act."""

import io
import re
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from aftertone.page.live import events, marks
from aftertone.page.routes import STATIC
from aftertone.server.app import create_app
from aftertone.settings import Settings
from aftertone.store.exports import ExportFolder
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Doing, Finding, LearnedQuestion, Warnings
from aftertone_model.labels import Scale, schema_of
from tests.unit.aftertone.made_store import make_project
from tests.unit.aftertone.records import FakeJobs

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HERE, ELSEWHERE = ("127.0.0.1", 50_000), ("192.0.2.7", 50_000)
SAME_SITE = {**BROWSER, "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_project(folder, clips=60, rounds=2, sounds=True)
    return folder


@pytest.fixture
def store(settings: Settings, made: Path) -> ProjectStore:
    shutil.copytree(made, settings.model_dir, dirs_exist_ok=True)
    return Store(settings.model_dir).project(1)


def client(settings: Settings, caller: tuple[str, int] = HERE, host: str = "localhost") -> TestClient:
    return TestClient(create_app(settings, FakeJobs()), base_url=f"http://{host}", client=caller)


def with_password(settings: Settings) -> Settings:
    return settings.model_copy(update={"basic_auth_user": "ann", "basic_auth_pass": SecretStr("s3cret")})


@pytest.mark.usefixtures("store")
def test_label_studio_gets_json_and_a_browser_a_page(settings: Settings) -> None:
    caller = client(settings)
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        assert caller.get("/", headers=accept).json()["status"] == "UP"
    shown = caller.get("/", headers=BROWSER)
    assert shown.headers["content-type"].startswith("text/html")
    assert 'href="/projects/1"' in shown.text
    assert caller.get("/status").json()["projects"][0]["project"] == 1


@pytest.mark.usefixtures("store")
def test_everything_stands_on_the_page_of_a_project(settings: Settings) -> None:
    shown = client(settings).get("/projects/1", headers=BROWSER)
    assert shown.status_code == 200
    for said in (
        "waiting for labels", "No worker runs", "Learning curve", "macro-F1", "Share of the pool", "Annotators",
        "What is taken for what", "How sure the model is", "Worth another look", "Go back to 1", "Keep labelling",
        "The next round needs", "Asked for next", "chosen by entropy-clustering", "On disk",
    ):  # fmt: skip
        assert said in shown.text, said


@pytest.mark.usefixtures("store")
def test_no_address_of_another_host_is_in_the_page_and_a_policy_forbids_it(settings: Settings) -> None:
    caller = client(settings)
    for path in ("/", "/projects/1", "/projects/9", *(f"/static/{name}" for name in STATIC if name.startswith("page"))):
        shown = caller.get(path, headers=BROWSER)
        assert not re.findall(r"(?:https?:)?//[a-z0-9]", shown.text.replace("http://www.w3.org", "")), path
        if not path.startswith("/static"):
            assert "default-src 'none'" in shown.headers["content-security-policy"]
            assert "unsafe" not in shown.headers["content-security-policy"]
            assert " style=" not in shown.text  # which the policy would ignore
            assert not re.findall(r"<script(?![^>]* src=)| on\w+=", shown.text)


def test_html_in_labels_and_messages_shows_as_text(settings: Settings, store: ProjectStore) -> None:
    attack = "<img src=x onerror=alert(1)>"
    for file in (store.folder / "rounds").glob("*/round.json"):
        file.write_text(file.read_text().replace('"happy"', '"<img src=x onerror=alert(1)>"').replace("Keep", attack))
    scores = store.scores_file(2)
    scores.write_text(scores.read_text().replace("happy", attack))
    store.save(Warnings(findings=(Finding(key="tab-order", severity="warning", what=attack, cure=attack),)))
    store.record_problem(attack, attack, 1.0)
    store.save(Doing(stage=attack, done=0, total=0, at=2.0))
    for path in ("/", "/projects/1"):
        shown = client(settings).get(path, headers=BROWSER).text
        assert "&lt;img src=x" in shown
        assert "<img src=x" not in shown


@pytest.mark.usefixtures("store")
def test_a_password_guards_page_sounds_events_document_and_buttons(settings: Settings) -> None:
    caller = client(with_password(settings), ELSEWHERE, "aftertone.example.org")
    clip = client(settings).get("/status").json()["projects"][0]["next_clips"][0]["clip"]
    paths = ["/", "/status", "/projects/1", "/projects/1/events", f"/projects/1/clips/{clip}.wav"]
    for path in paths:
        refused = caller.get(path, headers=BROWSER)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Basic")
    origin = {"Origin": "http://aftertone.example.org"}
    assert caller.post("/projects/1/do", data={"do": "pause"}, headers=origin).status_code == 401
    for path in (path for path in paths if "events" not in path):
        assert caller.get(path, headers=BROWSER, auth=("ann", "s3cret")).status_code == 200
    reply = caller.post("/projects/1/do", data={"do": "pause"}, headers=origin, auth=("ann", "s3cret"))
    assert (reply.status_code, "is paused" in reply.text) == (200, True)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("caller", "host"), [(ELSEWHERE, "localhost"), (HERE, "evil.example"), (HERE, "aftertone.example.org")]
)
def test_without_a_password_only_this_machine_under_its_own_name_may_look(
    settings: Settings, caller: tuple[str, int], host: str
) -> None:
    for path in ("/", "/status", "/projects/1"):
        shown = client(settings, caller, host).get(path, headers=BROWSER)
        assert (shown.status_code, "BASIC_AUTH_USER" in shown.text) == (403, True)
    assert client(settings, caller, host).get("/").json()["status"] == "UP"  # Label Studio may be anywhere


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("host", ["[", "[::1", "[]:80"])
def test_a_host_that_is_none_is_refused(settings: Settings, host: str) -> None:
    for path in ("/status", "/projects/1"):
        assert client(settings).get(path, headers={**BROWSER, "Host": host}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},  # no browser's form comes without
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9091"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_a_button_of_another_site_does_nothing(
    settings: Settings, store: ProjectStore, headers: dict[str, str]
) -> None:
    for do in ("pause", "train", "cancel", "rollback", "resume", "export"):
        reply = client(settings).post("/projects/1/do", data={"do": do, "round": "1"}, headers=headers)
        assert (reply.status_code, "came from elsewhere" in reply.text) == (403, True)
    assert store.steering.paused is None
    assert not store.train_requested
    assert not ExportFolder(store).states(0.0)


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_no_other_site_embeds_clips_or_what_moves(settings: Settings, store: ProjectStore, site: str) -> None:
    caller, clip = client(settings), next(iter(store.pool.clip_ids()))
    paths = (f"/projects/1/clips/{clip}.wav", f"/projects/1/clips/{clip}.png", "/projects/1/events")
    for path in paths:
        refused = caller.get(path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "audio"})
        assert (refused.status_code, "another site" in refused.text) == (403, True)
    for path in ("/", "/status", "/projects/1", "/static/page.js", *paths[:2]):
        shown = caller.get(path, headers={**BROWSER, "Sec-Fetch-Site": "same-origin"})
        assert (shown.status_code, shown.headers["cross-origin-resource-policy"]) == (200, "same-origin"), path
    whole = caller.get(paths[0]).headers["etag"]
    again = caller.get(paths[0], headers={"If-None-Match": whole})
    assert (again.status_code, again.headers["cross-origin-resource-policy"]) == (304, "same-origin")


def test_buttons_do_what_the_commands_do(settings: Settings, store: ProjectStore) -> None:
    caller = client(settings)

    def press(**form: str) -> tuple[int, str]:
        reply = caller.post("/projects/1/do", data=form, headers=SAME_SITE)
        return reply.status_code, reply.text

    assert "Project 1 is paused" in press(do="pause")[1]
    assert store.steering.paused is not None
    assert 'value="resume"' in caller.get("/projects/1").text
    assert press(do="resume")[0] == 200
    assert press(do="train")[0] == 200
    assert store.train_requested
    assert "marked as rolled back" in press(do="rollback", round="1")[1]
    assert store.steering.rolled_back == (2,)
    assert press(do="rollback", round="99")[0] == 400
    assert press(do="rollback", round="x")[0] == 400
    assert press(do="forget")[0] == 400
    assert caller.post("/projects/7/do", data={"do": "pause"}, headers=SAME_SITE).status_code == 404
    assert caller.post("/projects/1/do", data={"do": "x" * 20_000}, headers=SAME_SITE).status_code == 400


def test_a_clip_is_heard_whole_and_in_parts_and_is_fetched_once(settings: Settings, store: ProjectStore) -> None:
    caller, clip = client(settings), next(iter(store.pool.clip_ids()))
    whole = caller.get(f"/projects/1/clips/{clip}.wav")
    with wave.open(io.BytesIO(whole.content)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getnframes()) == (16_000, 1, 16_000)
        samples = np.frombuffer(sound.readframes(16_000), "<i2")
    assert np.allclose(samples / 32_768, store.pool.waveform(clip))
    for asked, part in (
        ("bytes=0-43", slice(0, 44)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-10", slice(-10, None)),
    ):
        reply = caller.get(f"/projects/1/clips/{clip}.wav", headers={"Range": asked})
        assert (reply.status_code, reply.content) == (206, whole.content[part])
        assert reply.headers["content-range"].endswith(f"/{len(whole.content)}")
    assert caller.get(f"/projects/1/clips/{clip}.wav", headers={"Range": "bytes=99999-"}).status_code == 416
    again = caller.get(f"/projects/1/clips/{clip}.wav", headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    part = caller.get(f"/projects/1/clips/{clip}@0.250+0.500.wav")
    assert part.content[44:] == whole.content[44 + 8_000 : 44 + 24_000]
    picture = caller.get(f"/projects/1/clips/{clip}.png")
    assert picture.content.startswith(b"\x89PNG")


@pytest.mark.parametrize("clip", ["0" * 24, "..%2f..%2fconnection", "x", "%00", "0" * 24 + "@1+2", "connection.json"])
def test_a_clip_of_no_project_or_another_is_not_there(settings: Settings, store: ProjectStore, clip: str) -> None:
    reply = client(settings).get(f"/projects/1/clips/{clip}.wav")
    assert reply.status_code == 404
    other = next(iter(store.pool.clip_ids()))
    assert client(settings).get(f"/projects/2/clips/{other}.wav").status_code == 404
    assert client(settings).get(f"/projects/1/clips/{other}.json").status_code == 404


@pytest.mark.usefixtures("store")
def test_what_is_wrong_is_told_in_a_page(settings: Settings) -> None:
    shown = client(settings).get("/projects/99", headers=BROWSER)
    assert (shown.status_code, "Nothing is kept of project 99" in shown.text) == (404, True)
    assert client(settings).get("/static/..%2frouting.py").status_code == 404


@pytest.mark.anyio
async def test_events_tell_what_changes(store: ProjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertone.page.live.EVERY", 0.01)
    seen = events(store, lambda: "<p>now\nhere</p>")
    assert await anext(seen) == "retry: 2000\n\n"
    assert await anext(seen) == "event: now\ndata: <p>now\ndata: here</p>\n\n"
    store.save(Doing(stage="tapt", done=1, total=9, at=5.0))
    assert (await anext(seen)).startswith("event: now\n")
    store.save(Warnings())
    assert await anext(seen) == "event: changed\ndata: \n\n"
    before = marks(store)
    assert before == marks(store)
    monkeypatch.setattr("aftertone.page.live.LONGEST", 0.0)
    assert [event async for event in seen] == []


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_what_is_vendored_is_named_with_its_licence() -> None:
    folder = Path(__file__).parents[4] / "backend" / "aftertone" / "page" / "static"
    notes = (folder / "VENDORED.md").read_text()
    for name in ("htmx", "sse"):
        assert f"`{name}.min.js`" in notes
        assert "Permission to use" in (folder / f"{name}.LICENSE").read_text()


@pytest.mark.parametrize("kind", ["multiple-choice", "ratings"])
def test_other_kinds_of_label_have_their_page_too(settings: Settings, store: ProjectStore, kind: str) -> None:
    record, random = store.rounds()[-1], np.random.default_rng(0)
    classes, scales = record.classes[:2], (Scale(low=1, high=5),) * 2 if kind == "ratings" else ()
    truth, told = random.random((24, 2)), random.random((24, 2))
    schema = schema_of(kind, classes, scales)
    metrics = schema.measure(truth if kind == "ratings" else truth.round(), told)
    changed = record.model_copy(
        update={"classes": classes, "scales": scales, "label_kind": kind, "metrics": metrics, "plain_metrics": None,
                "labelled": {}, "tested": dict.fromkeys(list(record.tested)[:3], (0.2, 1.0)), "test_answers": {}}
    )  # fmt: skip
    (store.scores_file(2).parent / "round.json").write_text(changed.model_dump_json())
    table = [line.split(",")[:7] for line in store.scores_file(2).read_text().splitlines()]
    store.scores_file(2).write_text("".join(f"{','.join(line)}\n" for line in table))
    store.save(LearnedQuestion(name="mood", tag="Rating", kind=kind, classes=classes))
    caller = client(settings)
    shown = caller.get("/projects/1", headers=BROWSER)
    assert shown.status_code == 200
    assert ("CCC" if kind == "ratings" else "macro-F1") in shown.text
    assert "What is taken for what" not in shown.text
    for path in ("map", f"search?class={classes[1]}", "search"):
        assert caller.get(f"/projects/1/{path}", headers=BROWSER).status_code == 200
    assert caller.get("/status").json()["projects"][0]["rounds"][-1]["metrics"]["clips"] == 24


@pytest.mark.parametrize("damage", ["\n7", "\n7,x", '\n"7', "\n" + "9" * 30 + ",c,0,0,0,0,0,0", "\n7," + "x" * 200_000])
def test_a_damaged_table_of_scores_hides_no_project(settings: Settings, store: ProjectStore, damage: str) -> None:
    with store.scores_file(store.round_numbers()[-1]).open("a", encoding="utf-8") as file:
        file.write(damage)
    for path in ("/", "/status", "/projects/1", "/projects/1/map", "/projects/1/search"):
        assert client(settings).get(path, headers=BROWSER).status_code < 500, path


@pytest.mark.parametrize("damage", [b"", b"text", b"\x93NUMPY\x01\x00\x10\x00(((((((((((((((("])
def test_damaged_embeddings_cost_the_map_alone(settings: Settings, store: ProjectStore, damage: bytes) -> None:
    store.embeddings_file(store.round_numbers()[-1]).write_bytes(damage)
    for path in ("/projects/1", "/projects/1/map", "/projects/1/search"):
        assert client(settings).get(path, headers=BROWSER).status_code < 500, path


def test_a_form_of_many_fields_is_refused_in_a_sentence(settings: Settings, store: ProjectStore) -> None:
    many = "&".join(f"f{number}=1" for number in range(300))
    headers = {**BROWSER, "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    answer = client(settings).post("/projects/1/do", content=many, headers=headers)
    assert answer.status_code < 500
    assert store.rounds()
