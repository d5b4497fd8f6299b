"""`aftertone status`, `export` and `adapt`, read from the store alone."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone.errors import LabelConfigError, SettingsError
from aftertone.labelstudio.audio_hosts import NOT_ALLOWED
from aftertone.labelstudio.label_config import SMALLEST_CONFIG
from aftertone.labelstudio.tasks import Task, TaskCache
from aftertone.server.events import Events
from aftertone.settings import Settings
from aftertone.store.project import Store
from aftertone.store.records import Connection, Doing, Finding, Problem, Source, Sources, Tasks, Warnings
from aftertone_model.evaluation.estimate import Estimate
from tests.unit.aftertone.loops import MemoryLoop
from tests.unit.aftertone.records import FakeJobs


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
def test_a_long_stage_says_how_long_it_will_take(settings: Settings) -> None:
    store = Store(settings.model_dir).project(5)
    store.connect(Connection(project=5, label_config="x"))
    doing = Doing(stage="fetch", done=600, total=3_000, at=1_060.0, began=1_000.0, first=0)
    store.save(doing)
    assert "stopped during fetch 600/3000, as no worker runs" in run("status")
    with Store(settings.model_dir).running.enter("worker", {}, {}):
        assert "fetch 600/3000, 10 a second, about 4 min left (" in run("status")
        assert doing.left == 240
        for started in (doing.model_copy(update={"done": 0}), doing.model_copy(update={"began": 0.0})):
            store.save(started)
            assert started.left is None
            assert "left" not in run("status")


@pytest.mark.usefixtures("environment")
def test_rounds_with_their_metrics_and_an_export(make_loop: Callable[..., MemoryLoop], tmp_path: Path) -> None:
    loop = make_loop(20)
    loop.advance()
    loop.label(8)
    loop.advance()
    shown = run("status")
    assert "Project 1: waiting for labels: 0 of 6 since round 1" in shown
    assert re.search(r"20 tasks, 8 answered; 20 clips decoded, \d of \d test clips labelled, 0 tasks with unus", shown)
    assert "round   0      0 labels  seed set, no model yet" in shown
    assert '  learns Choices "emotion" (single-choice): neutral, happy' in shown
    (newest,) = [line for line in shown.splitlines() if line.startswith("  round   1")]
    assert "<- served to annotators" in newest
    (project,) = json.loads(run("status", "--json"))["projects"]
    assert (project["question"]["name"], project["question"]["kind"]) == ("emotion", "single-choice")
    assert {record.question for record in loop.store.rounds()} == {"emotion"}
    assert [row["version"] for row in project["rounds"]] == [record.version for record in loop.store.rounds()]
    assert "8 labels" in run("export", "1", "--out", str(tmp_path / "model"))
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert (tmp_path / "model" / "emotions.py").is_file()
    assert 'answers the question "emotion" of the label config' in (tmp_path / "model" / "README.md").read_text()
    assert "exists already" in run("export", "1", "--out", str(tmp_path / "model"))


@pytest.mark.usefixtures("environment")
def test_several_annotators_what_waits_and_what_nobody_answered(make_loop: Callable[..., MemoryLoop]) -> None:
    loop = make_loop(20)
    loop.label_studio.state["project"]["maximum_annotations"] = 2
    loop.advance()
    first, second, third, fourth = loop.last.published[:4]
    for who, answers in {1: ("happy", "happy", "sad"), 2: ("happy", "sad")}.items():
        for task, answer in zip((first, second, third), answers, strict=False):
            loop.label_studio.annotate(task, answer, by=who)
    loop.label_studio.annotate(third, skip=True, by=2)
    loop.label_studio.annotate(fourth, "happy", by=2, origin="prediction")
    loop.advance()
    shown = run("status")
    assert "20 tasks, 3 answered" in shown
    assert "1 clips wait for further votes" in shown
    assert "annotators' agreement: Krippendorff's alpha 0." in shown
    assert "annotator 1: 3 labels, 4.0 s each, agrees 50% with others on 2 tasks" in shown
    assert "annotator 2: 2 labels, 25% skipped, 4.0 s each" in shown
    assert "1 annotations leave the model's label as it was shown" in shown
    (project,) = json.loads(run("status", "--json"))["projects"]
    assert project["untouched"] == {"annotations": 1, "made": 0, "tasks": 1}
    assert project["in_progress"] == 1
    assert [one["agreement"] for one in project["annotators"]["each"]] == [0.5, 0.5]


@pytest.mark.usefixtures("environment")
def test_what_an_export_is_without_its_clip_head(make_loop: Callable[..., MemoryLoop], tmp_path: Path) -> None:
    loop = make_loop(20)
    loop.advance()
    loop.label(8)
    loop.advance()
    record = loop.last
    assert record.metrics is not None
    assert record.plain_metrics is not None
    assert record.plain_metrics.clips == record.metrics.clips

    def rewrite(**fields: object) -> None:
        (loop.store.folder / "rounds/001/round.json").write_text(record.model_copy(update=fields).model_dump_json())

    rewrite(plain_metrics=replace(record.metrics, clips=40, ua=Estimate(value=0.25, low=0.125, high=0.5)))
    shown = run("status").splitlines()
    told = "  as exported, for single clips through transformers' pipeline: UA 0.250 [0.125, 0.500], WA "
    assert [line.startswith(told) for line in shown].count(True) == 1
    (project,) = json.loads(run("status", "--json"))["projects"]
    assert project["rounds"][1]["plain_metrics"]["ua"]["value"] == 0.25
    assert "8 labels" in run("export", "1", "--out", str(tmp_path / "model"))
    assert "| 25.0% | 12.5% to 50.0% |" in (tmp_path / "model" / "README.md").read_text().split("through `pipeline`")[1]
    for same in (None, record.metrics):
        rewrite(plain_metrics=same)
        assert "as exported" not in run("status")


@pytest.mark.usefixtures("environment")
def test_disk_use_and_how_much_is_free(make_loop: Callable[..., MemoryLoop], monkeypatch: pytest.MonkeyPatch) -> None:
    loop = make_loop(12)
    loop.advance()
    shown = run("status")
    assert " on disk: clips " in shown
    assert " are free where MODEL_DIR=" in shown
    assert "may need" not in shown
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 50_000_000}))
    assert "warning: Only 50 MB are free where MODEL_DIR lies, and a step may need 100 MB." in run("status")


@pytest.mark.usefixtures("environment")
def test_the_exit_code_says_whether_somebody_is_needed(make_loop: Callable[..., MemoryLoop]) -> None:
    loop = make_loop(12)
    loop.advance()
    status = lambda *more: CliRunner().invoke(app, ["status", *more]).exit_code  # noqa: E731
    assert (status(), status("--json")) == (0, 0)
    loop.store.record_problem("train", "It failed.", 0.0)
    assert (status(), status("--json")) == (2, 2)
    loop.store.remove(Problem)
    (loop.store.folder / "rounds/000/round.json").write_text("")
    assert status() == 2
    assert "DAMAGED: " in run("status")


TWO = SMALLEST_CONFIG.replace(
    "</View>", '<Choices name="mood" toName="audio"><Choice value="up"/><Choice value="down"/></Choices></View>'
)


@pytest.mark.usefixtures("environment")
def test_a_project_that_can_not_be_used_is_listed_with_the_reason_until_it_can(
    make_loop: Callable[..., MemoryLoop], settings: Settings
) -> None:
    events = Events(settings, FakeJobs())
    with pytest.raises(LabelConfigError):
        events.connected(4, TWO, {})
    said = CliRunner().invoke(app, ["status"])
    assert "Project 4 can't be used: The label config asks 2 questions that could be learned" in said.output
    assert '{"question": "emotion"}' in said.output
    assert said.exit_code == 2
    assert "4" in json.loads(run("status", "--json"))["refused"]
    events.connected(4, TWO, {"question": "mood"})
    assert "can't be used" not in run("status")

    loop = make_loop(12)
    loop.advance()
    good = loop.label_studio.state["project"]["label_config"]
    with pytest.raises(SettingsError):
        events.connected(1, good, {"batch": 3})
    loop.advance()  # Label Studio keeps the options before, so the project goes on
    assert "warning: When it was last set up in Label Studio it was refused" in run("status")
    assert "can't be used" not in run("status")
    loop.label_studio.state["project"]["label_config"] = TWO
    loop.advance()
    assert run("status").startswith("Project 1 can't be used: The label config asks 2 questions")
    loop.label_studio.state["project"]["label_config"] = good
    loop.advance()
    assert run("status").startswith("Project 1: ")
    assert "refused" not in run("status")


def test_a_model_dir_that_is_a_file_is_told(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "a-token")
    for command in (["status"], ["worker"], ["serve"], ["adapt", "1"], ["clean"]):
        found = CliRunner().invoke(app, command)
        assert found.exit_code in (1, 2), command
        assert "Traceback" not in found.output
        assert "MODEL_DIR" in found.output or "isn't adapted" in found.output, command


def test_whoever_reads_its_first_lines_alone_sees_no_error(tmp_path: Path) -> None:
    environment = {**os.environ, "MODEL_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "aftertone", "status"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as shown:
        assert shown.stdout is not None
        assert shown.stderr is not None
        shown.stdout.close()
        assert shown.stderr.read() == b""


@pytest.mark.usefixtures("environment")
def test_no_headline_says_that_all_goes_on_beside_a_problem(settings: Settings) -> None:
    store = Store(settings.model_dir).project(5)
    store.connect(Connection(project=5, label_config="x"))
    store.record_problem("read the project", "Label Studio refuses LABEL_STUDIO_API_KEY.", 1_000.0)
    store.record_problem("read the project", "Label Studio refuses LABEL_STUDIO_API_KEY.", 1_100.0)
    shown = run("status")
    assert shown.startswith("Project 5: can't read the project, 2 times in a row (")
    assert "no worker has looked" not in shown
    with Store(settings.model_dir).running.enter("worker", {}, {}):
        for at, headline in ((1_050.0, "can't read"), (1_200.0, "tries again to read the project: fetch 1/2")):
            store.save(Doing(stage="fetch", done=1, total=2, at=at))
            assert run("status").startswith(f"Project 5: {headline}")


@pytest.mark.usefixtures("environment")
def test_findings_carry_their_severity_and_a_host_is_named_once(settings: Settings) -> None:
    store = Store(settings.model_dir).project(5)
    store.connect(Connection(project=5, label_config="x"))
    tasks = tuple(Task(id=i, source=f"/a/{i}", updated_at="2026-01-01T00:00:00Z") for i in range(1, 4))
    store.save(Tasks(cache=TaskCache(tasks=tasks)))
    refused = Source(error=NOT_ALLOWED.format(host="a.example.org"), retry=True)
    store.save(Sources(sources={"/a/1": refused, "/a/2": refused, "/a/3": Source(error="Not audio.")}))
    found = (
        Finding(
            key="audio-hosts", severity="warning", what="2 tasks have their audio at a.example.org.", cure="Add it."
        ),
        Finding(key="tab-order", severity="note", what="A tab has filters."),
    )
    store.save(Warnings(findings=found))
    shown = run("status")
    assert "  warning: 2 tasks have their audio at a.example.org. Add it.\n" in shown
    assert "  note: A tab has filters.\n" in shown
    assert shown.count("a.example.org") == 1
    assert "task 3: Not audio." in shown
    (project,) = json.loads(run("status", "--json"))["projects"]
    assert [row["key"] for row in project["findings"]] == ["audio-hosts", "tab-order"]
    assert len(project["unusable"]) == 3
    assert CliRunner().invoke(app, ["status"]).exit_code == 0
    store.save(Warnings(findings=(found[0].model_copy(update={"severity": "problem"}),)))
    assert CliRunner().invoke(app, ["status"]).exit_code == 2
    assert "  PROBLEM: 2 tasks" in run("status")


@pytest.mark.usefixtures("environment")
def test_attributes_are_counted_by_clip(settings: Settings) -> None:
    store = Store(settings.model_dir).project(5)
    store.connect(Connection(project=5, label_config="x"))
    told = {1: {"gender": "f", "transcript": "a"}, 2: {"gender": "m"}, 3: {"style": "acted"}, 4: {"gender": "f"}}
    tasks = tuple(
        Task(id=i, source=f"/a/{min(i, 3)}", updated_at="2026-01-01T00:00:00Z", attributes=told[i]) for i in told
    )
    store.save(Tasks(cache=TaskCache(tasks=tasks)))
    store.save(Sources(sources={f"/a/{i}": Source(clip=f"c{i}", seconds=1.0) for i in (1, 2, 3)}))
    assert "  clips with attributes: gender of 3 (f 2, m 1), style of 1 (acted 1), transcript of 1\n" in run("status")
    (project,) = json.loads(run("status", "--json"))["projects"]
    assert project["attributes"]["gender"] == {"clips": 3, "values": {"f": 2, "m": 1}}
