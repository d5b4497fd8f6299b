"""`aftertone status`, `export` and `adapt`, read from the store alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone.settings import Settings
from aftertone.store.project import Store
from aftertone.store.records import Connection
from tests.unit.aftertone.loops import MemoryLoop


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_DIR", str(settings.model_dir))


def run(*words: str) -> str:
    return CliRunner().invoke(app, words).output


@pytest.mark.usefixtures("environment")
def test_before_anything_it_says_how_to_connect() -> None:
    assert "Connect Model" in run("status")


@pytest.mark.usefixtures("environment")
def test_a_project_that_no_worker_has_seen(settings: Settings) -> None:
    Store(settings.model_dir).project(5).connect(Connection(project=5, label_config="x"))
    assert "no worker has looked at it yet" in run("status")
    assert "isn't adapted yet" in run("adapt", "5")
    assert "No round has a model yet" in run("export", "5", "--out", str(settings.model_dir / "out"))


@pytest.mark.usefixtures("environment")
def test_rounds_with_their_metrics_and_an_export(make_loop: Callable[..., MemoryLoop], tmp_path: Path) -> None:
    loop = make_loop(20)
    loop.advance()
    loop.label(8)
    loop.advance()
    shown = run("status")
    assert "Project 1: waiting for labels: 0 of 6 since round 1" in shown
    assert "20 tasks, 8 answered; 20 clips decoded, 0 tasks with unusable audio" in shown
    assert "round   0      0 labels  seed set, no model yet" in shown
    assert "<- served to annotators" in shown.splitlines()[3]
    (project,) = json.loads(run("status", "--json"))["projects"]
    assert [row["version"] for row in project["rounds"]] == [record.version for record in loop.store.rounds()]
    assert "8 labels" in run("export", "1", "--out", str(tmp_path / "model"))
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert "exists already" in run("export", "1", "--out", str(tmp_path / "model"))
