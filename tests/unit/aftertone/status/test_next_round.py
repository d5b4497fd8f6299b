"""What the next round takes, by what the rounds before took."""

import json
import math
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone.settings import Settings
from aftertone.status import describe
from aftertone.status.next_round import NO_DURATION, NOT_MEASURED, UNKNOWN, describe_next, plan_next
from aftertone.status.project import project_status
from aftertone.store.project import ProjectStore
from aftertone.store.records import Tasks
from tests.unit.aftertone.made_store import BATCH, make_project

FREE = 10**12


@pytest.fixture
def store(settings: Settings) -> ProjectStore:
    return make_project(settings.model_dir)


def test_labels_that_are_there_count(store: ProjectStore) -> None:
    found, answers = plan_next(1, store, FREE), 3 * BATCH + BATCH // 3
    assert found.number == 4
    assert found.wanted == BATCH
    assert found.more == BATCH - (answers - store.rounds()[-1].labels)
    assert 0 < found.trained_on <= answers + found.more
    assert found.scored == 200
    assert found.fits
    assert f"{found.more} more of {BATCH}" in describe_next(found)


def test_twice_the_clips_take_twice_as_long(store: ProjectStore) -> None:
    took = sorted(record.seconds["rank"] for record in store.rounds() if record.kind == "trained")[1]
    assert plan_next(1, store, FREE).ranking_seconds == pytest.approx(took)  # as many clips as the rounds before scored
    for number in store.round_numbers():
        table = store.scores_file(number)
        table.write_text("".join(table.read_text().splitlines(keepends=True)[:101]))
    assert plan_next(1, store, FREE).ranking_seconds == pytest.approx(2 * took)


def test_nothing_is_guessed_before_a_round_was_made(settings: Settings) -> None:
    said = describe_next(plan_next(1, make_project(settings.model_dir, rounds=0), FREE))
    assert f"clips: {UNKNOWN}" in said


def test_a_damaged_round_ends_no_plan(store: ProjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    store.scores_file(2).with_name("round.json").write_text("{")
    make_project(settings.model_dir, 2)
    monkeypatch.setenv("MODEL_DIR", str(settings.model_dir))
    said = CliRunner().invoke(app, ["plan"]).output
    assert said.count("DAMAGED: ") == 1
    assert "rounds/002/round.json is damaged. Restore it from a backup, or remove the round's folder" in said
    assert "at the pace of rounds 1, 3;" in said
    assert "at the pace of rounds 1, 2, 3;" in said


def test_a_plan_says_so_where_no_round_can_be_read(settings: Settings) -> None:
    store = make_project(settings.model_dir, rounds=0)
    store.scores_file(0).with_name("round.json").write_text("[1]")
    found = plan_next(1, store, FREE)
    assert "rounds/000/round.json is damaged" in json.loads(found.model_dump_json())["damaged"][0]
    assert "labels   can't be told while no round can be read" in describe_next(found)


def test_what_is_no_duration_counts_for_nothing(store: ProjectStore) -> None:
    right = plan_next(1, store, FREE)
    assert right.annotating_seconds
    for number, wrong in enumerate(("NaN", "-1e12", "1e999", "Infinity")):
        path = store.scores_file(number).with_name("round.json")
        kept = json.loads(path.read_text())
        seconds = dict.fromkeys(kept["seconds"], 0.123456)
        path.write_text(json.dumps(kept | {"seconds": seconds}).replace("0.123456", wrong))
    cache = store.get(Tasks).cache
    tasks = tuple(
        replace(task, work=tuple(replace(one, seconds=math.nan) for one in task.work)) for task in cache.tasks
    )
    store.save(Tasks(cache=replace(cache, tasks=tasks)))
    found = plan_next(1, store, FREE)
    assert (found.annotating_seconds, found.training_seconds, found.ranking_seconds) == (None, None, None)
    assert found.basis == (1, 2, 3)  # none of them counts as damaged
    said = describe_next(found)
    assert "nan" not in said.lower()
    assert f"labelled clips: {NO_DURATION}" in said
    assert f"200 clips: {NO_DURATION}" in said
    assert f"memory   {NOT_MEASURED}" in said
    assert UNKNOWN not in said
    assert "pace of" not in said.partition("disk")[2]
    shown = project_status(1, store, FREE)
    assert "nan" not in describe(shown, 1).lower()
    assert "of work" not in shown.forecast


def test_figures_name_their_units(store: ProjectStore) -> None:
    found = json.loads(plan_next(1, store, FREE).model_dump_json())
    for name in ("annotating", "training", "ranking"):
        assert found[f"{name}_seconds"] > 0
    for name in ("memory", "disk", "free"):
        assert f"{name}_bytes" in found


def test_a_full_disk_is_said(store: ProjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "TOO LITTLE" in describe_next(plan_next(1, store, 10))
    monkeypatch.setenv("MODEL_DIR", str(settings.model_dir))
    assert CliRunner().invoke(app, ["plan", "1"]).exit_code == 0
    assert json.loads(CliRunner().invoke(app, ["plan", "--json"]).output)["number"] == 4
    monkeypatch.setattr("aftertone.doctor.disk.free", lambda _: 10)
    assert CliRunner().invoke(app, ["plan", "1"]).exit_code == 2
    missing = CliRunner().invoke(app, ["plan", "9"])
    assert missing.exit_code == 1
    assert "Nothing is kept of project 9" in missing.output
