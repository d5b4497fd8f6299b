"""The export button: an archive is made beside the project, its state is told, and whoever may look downloads it."""

import csv
import io
import json
import shutil
import time
import zipfile
from collections.abc import Callable
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from aftertone import archive
from aftertone.clean import forget_project
from aftertone.errors import StoreError
from aftertone.page import children
from aftertone.server.app import create_app
from aftertone.settings import Settings
from aftertone.steering import Steering
from aftertone.store.exports import ExportFolder
from aftertone.store.project import ProjectStore, Store
from tests.unit.aftertone.loops import MemoryLoop
from tests.unit.aftertone.made_store import make_project
from tests.unit.aftertone.records import FakeJobs

BROWSER = {"Accept": "text/html", "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
PRESS = {"do": "export", "format": "transformers"}


@pytest.fixture
def made(settings: Settings) -> ProjectStore:
    return make_project(settings.model_dir, clips=40, rounds=2)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """What processes would have been started."""
    found: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(children, "start", lambda module, arguments, _: found.append((module, arguments)))
    return found


def caller(settings: Settings) -> TestClient:
    return TestClient(create_app(settings, FakeJobs()), base_url="http://localhost", client=("127.0.0.1", 50_000))


def test_a_model_is_made_told_of_and_downloaded(
    make_loop: Callable[..., MemoryLoop], started: list[tuple[str, list[str]]]
) -> None:
    loop = make_loop(16)
    loop.advance()
    loop.label(8)
    loop.advance()
    client = caller(loop.settings)
    assert "Export the model for transformers" in client.get("/projects/1", headers=BROWSER).text
    shown = client.post("/projects/1/do", data=PRESS, headers=BROWSER)
    assert (shown.status_code, "is being exported" in shown.text, "being made" in shown.text) == (200, True, True)
    assert started == [("aftertone.archive", ["1", "transformers"])]
    again = client.post("/projects/1/do", data=PRESS, headers=BROWSER)
    assert (again.status_code, "being made already" in again.text) == (400, True)

    archive.make_archive(loop.store, loop.settings, "transformers")
    told = client.get("/status").json()["projects"][0]["exports"]["transformers"]
    assert (told["state"], told["round"], told["error"]) == ("ready", loop.last.number, "")
    path = f"/projects/1/exports/{told['file']}"
    assert path in client.get("/projects/1", headers=BROWSER).text
    reply = client.get(path)
    assert reply.headers["content-disposition"].startswith("attachment")
    assert len(reply.content) == told["bytes"]
    with zipfile.ZipFile(io.BytesIO(reply.content)) as packed:
        names = {name.partition("/")[2] for name in packed.namelist()}
        assert {name.partition("/")[0] for name in packed.namelist()} == {told["file"].removesuffix(".zip")}
        config = next(name for name in packed.namelist() if name.endswith("/config.json"))
        assert json.loads(packed.read(config))["id2label"]
    assert {"config.json", "model.safetensors", "README.md", "emotions.py"} <= names
    assert [path.name for path in (loop.store.folder / "exports").glob("*") if path.name != "making.lock"] == [
        told["file"]
    ]


def test_an_archive_is_of_the_round_that_is_in_it(made: ProjectStore) -> None:
    exports = ExportFolder(made)
    exports.begin("transformers", 2, "two", 1.0)  # which is rolled back before its weights are read
    with exports.making() as folder:
        (folder / "x").write_bytes(b"archive")
        exports.ready("transformers", folder / "x", "a.zip", 2.0, number=1, version="one")
    told = exports.states(3.0)["transformers"][1]
    assert (told.round, told.version, told.file) == (1, "one", "a.zip")


def test_a_failure_and_an_interruption_are_told(
    settings: Settings, made: ProjectStore, started: list[tuple[str, list[str]]]
) -> None:
    client = caller(settings)
    client.post("/projects/1/do", data=PRESS, headers=BROWSER)
    archive.make_archive(made, settings, "transformers")  # of a model that has no weights
    told = client.get("/status").json()["projects"][0]["exports"]["transformers"]
    assert (told["state"], told["file"]) == ("failed", "")
    assert told["error"]
    assert "<strong>failed</strong>" in client.get("/projects/1", headers=BROWSER).text
    client.post("/projects/1/do", data=PRESS, headers=BROWSER)
    exports, later = ExportFolder(made), time.time() + 120
    assert exports.states(later)["transformers"][0] == "failed"  # no process is at it
    with exports.making():
        assert exports.states(later)["transformers"][0] == "being made"
        with pytest.raises(StoreError, match="being made already"):
            exports.begin("onnx", 2, "v", later)
    assert len(started) == 2


def test_forgetting_waits_for_an_export_and_leaves_nothing(settings: Settings, made: ProjectStore) -> None:
    exports, store = ExportFolder(made), Store(settings.model_dir)
    exports.begin("transformers", 2, "v", time.time())
    with exports.making():
        assert "an export of it is being made" in forget_project(store, 1, dry_run=False)
        with pytest.raises(StoreError, match="an export of it is being made"):
            Steering(settings, lambda _: True, cast(Any, None)).forget(1, yes=True, force=True)
    assert "is removed" in forget_project(store, 1, dry_run=False)
    archive.make_archive(made, settings, "transformers")  # whose process starts only now
    assert not made.folder.exists()


def test_an_export_of_a_project_that_goes_meanwhile_leaves_nothing(settings: Settings, made: ProjectStore) -> None:
    exports = ExportFolder(made)
    exports.begin("transformers", 2, "v", time.time())
    with exports.making() as scratch:
        shutil.rmtree(made.folder)  # by hand, without asking whether anything is at work
        (scratch / "model").mkdir(parents=True)  # as an export makes the folders that it needs
    exports.failed("transformers", "it has gone", time.time())
    assert not made.folder.exists()


def test_only_what_the_page_lists_is_downloaded_and_by_no_other_site(settings: Settings, made: ProjectStore) -> None:
    client, exports = caller(settings), ExportFolder(made)
    exports.begin("transformers", 2, "v", 1.0)
    with exports.making() as folder:
        (folder / "x").write_bytes(b"archive")
        exports.ready("transformers", folder / "x", "a.zip", 2.0, number=2, version="v")
    (exports.folder / "b.zip").write_bytes(b"other")
    assert client.get("/projects/1/exports/a.zip").content == b"archive"
    for path in ("b.zip", "making.lock", "..%2fconnection.json", "%00", "a.zip/"):
        assert client.get(f"/projects/1/exports/{path}").status_code == 404, path
    for path in ("exports/a.zip", "predictions.csv"):
        refused = client.get(f"/projects/1/{path}", headers={"Sec-Fetch-Site": "cross-site"})
        assert refused.status_code == 403
    stranger = TestClient(create_app(settings, FakeJobs()), base_url="http://localhost", client=("192.0.2.7", 1))
    assert stranger.get("/projects/1/exports/a.zip").status_code == 403


def test_formats_that_cannot_be_made_here_are_neither_shown_nor_made(
    settings: Settings, made: ProjectStore, started: list[tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "find_spec", lambda _: None)
    assert "as ONNX" not in caller(settings).get("/projects/1", headers=BROWSER).text
    for format in ("onnx", "dataset", "", "predictions"):
        shown = caller(settings).post("/projects/1/do", data={"do": "export", "format": format}, headers=BROWSER)
        assert (shown.status_code, "The page makes exports as transformers" in shown.text) == (400, True)
    assert not started
    assert made.rounds()


def test_every_clip_is_downloaded_as_a_table(settings: Settings, made: ProjectStore) -> None:
    reply = caller(settings).get("/projects/1/predictions.csv")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    assert len(rows) == len(made.scores(2)[1]) == 40
    assert {row["prediction"] for row in rows} <= {"neutral", "happy", "angry", "sad"}
