"""The status document: one typed record of everything, from the store alone."""

import json
import time
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone.errors import NotKeptError
from aftertone.pipeline.figures import task_figures
from aftertone.settings import Settings
from aftertone.status import ProjectStatus, Status, status
from aftertone.status.forecast import forecast
from aftertone.status.headline import headline
from aftertone.status.moments import ago, duration, pace
from aftertone.status.schema import schema
from aftertone.status.text import describe, describe_rounds
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Doing, Problem
from aftertone_model.evaluation.metrics import Metrics
from tests.unit.aftertone.made_store import BATCH, CLASSES, make_project

SCHEMA = Path(__file__).parents[4] / "docs" / "schemas" / "status.json"


@pytest.fixture
def store(settings: Settings) -> ProjectStore:
    return make_project(settings.model_dir)


def read(settings: Settings) -> ProjectStatus:
    return status(Store(settings.model_dir), [1]).projects[0]


def test_the_committed_schema_is_that_of_the_records() -> None:
    assert SCHEMA.read_text() == schema()


@pytest.mark.usefixtures("store")
def test_json_validates_against_the_committed_schema(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_DIR", str(settings.model_dir))
    shown = CliRunner().invoke(app, ["status", "1", "--json"])
    assert shown.exit_code == 0
    document = json.loads(shown.output)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert Status.model_validate(document).projects[0].rounds[-1].number == 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "free": None}, json.loads(SCHEMA.read_text()))


def test_every_clip_is_counted_once(settings: Settings, store: ProjectStore) -> None:
    found = read(settings)
    counts = found.counts
    assert counts.labelled + counts.tested + counts.untested + counts.skipped + counts.unlabelled == found.clips == 200
    assert counts.labelled + counts.tested == found.answered == 3 * BATCH + BATCH // 3
    assert sum(one.found for one in found.classes) == found.answered
    record = store.rounds()[-1]
    assert isinstance(record.metrics, Metrics)
    assert sum(one.tested or 0 for one in found.classes) == record.metrics.clips
    assert sum(found.histogram) == found.clips - record.labels


@pytest.mark.usefixtures("store")
def test_shares_of_the_pool_are_bounded_by_what_is_known(settings: Settings) -> None:
    found = read(settings)
    for one in found.classes:
        assert one.share is not None
        assert one.share.ends is not None
        assert 0 <= one.share.ends[0] <= one.share.value <= one.share.ends[1] <= 1
    assert max(found.classes, key=lambda one: one.share.value if one.share else 0.0).name in ("neutral", "happy")


def test_next_clips_are_the_head_of_the_queue_without_what_is_answered(settings: Settings, store: ProjectStore) -> None:
    found = read(settings)
    done, published = task_figures(store).done, store.rounds()[-1].published
    assert [one.task for one in found.next_clips] == [task for task in published if task not in done][:20]
    assert all(one.prediction in CLASSES for one in found.next_clips)
    scores = store.scores(3)[1]
    assert [one.confidence for one in found.next_clips] == [
        max(scores[one.task].predictions) for one in found.next_clips
    ]  # to the last digit, or the page would round what is rounded already
    assert {one.why for one in found.next_clips} & {"drawn by chance for the test set"}


def test_a_headline_never_contradicts_the_rest(settings: Settings, store: ProjectStore) -> None:
    now = time.time()
    store.save(Doing(stage="tapt", done=100, total=400, at=now, began=now - 50, first=0))
    assert headline(read(settings), 1, now) == "tapt 100/400, 2 a second, about 3 min left (0 s ago)"
    assert headline(read(settings), 0, now + 3600).startswith("stopped during tapt 100/400, as no worker runs")
    store.steer(lambda steering: steering.model_copy(update={"paused": now}))
    assert headline(read(settings), 1, now) == "paused 0 s ago"
    store.save(Problem(message="The disk is full.", step="train", times=2, at=now + 1))
    found = read(settings)
    assert headline(found, 1, now + 2) == "can't train, 2 times in a row (1 s ago)"
    assert found.problems == ("It can't train: The disk is full.",)
    text = describe(found, 1, now)
    assert text.splitlines()[1] == "  PROBLEM while trying to train: The disk is full."


@pytest.mark.parametrize(
    "content",
    ["[1, 2]", "7", "null", '"train"', '{"schema_version": [1]}', '{"schema_version": "x"}',
     f'{{"schema_version": 1, "stage": "train", "done": 1{"0" * 400}, "total": 9, "at": 9, "began": 3}}'],
    ids=range(7),
)  # fmt: skip
def test_progress_that_is_no_record_is_set_aside(store: ProjectStore, settings: Settings, content: str) -> None:
    (store.folder / Doing.FILE).write_text(content)
    found = read(settings)
    assert found.doing is None
    assert describe(found).startswith("Project 1: ")
    assert "progress.json was damaged and set aside as progress.json.corrupt." in "".join(store.damage())


def test_a_long_history_is_listed_by_rounds_and_not_by_status(settings: Settings) -> None:
    make_project(settings.model_dir, rounds=6)
    found = read(settings)
    assert describe(found).count("\n  round ") == 4
    assert "3 earlier rounds (`aftertone rounds 1`)" in describe(found)
    listed = describe_rounds(found).splitlines()
    assert len(listed) == 1 + 7
    assert sum("weights not kept" in line for line in listed) == 3


def test_a_list_of_rounds_names_those_that_can_not_be_read(store: ProjectStore, settings: Settings) -> None:
    store.scores_file(2).with_name("round.json").write_text("{")
    *listed, said = describe_rounds(read(settings)).splitlines()
    assert [line.split()[0] for line in listed] == ["round", "0", "1", "3"]
    assert said.startswith("DAMAGED: ")
    assert "rounds/002/round.json is damaged. Restore it from a backup, or remove the round's folder" in said


def test_a_list_of_rounds_says_where_it_is_not_known_how_long_they_took(
    store: ProjectStore, settings: Settings
) -> None:
    file = store.scores_file(2).with_name("round.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"seconds": {}}))
    took = [line.split()[2:4] for line in describe_rounds(read(settings)).splitlines()[1:]]
    assert took == [["9", "s"], ["53", "s"], ["unknown", "entropy-clustering"], ["53", "s"]]


def test_what_the_next_round_brings_is_said_only_where_it_can_be_told(store: ProjectStore) -> None:
    annotators, record = task_figures(store).annotators, store.rounds()[-1]
    labels = 3 * BATCH + 6
    said = forecast(record, labels, annotators)
    assert said.startswith("The next round needs about 14 more labels, ")
    assert said.endswith("As the last rounds went they bring +0.4 points of UA [+0.1 to +0.8].")
    unclear = record.model_copy(update={"gain": None})
    assert forecast(unclear, labels, annotators).endswith("What they bring can't be told yet.")
    wide = record.model_copy(update={"gain": (0.1, -1.0, 1.2)})
    assert "can't be told yet: between -14 and +17 points" in forecast(wide, labels, annotators)
    assert "enough new labels" in forecast(record, labels + 14, annotators)


@pytest.mark.usefixtures("store")
def test_a_project_that_nobody_knows_is_no_empty_list(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotKeptError, match="known: 1"):
        status(Store(settings.model_dir), [77])
    monkeypatch.setenv("MODEL_DIR", str(settings.model_dir))
    for command in (["status", "77"], ["rounds", "77"], ["export", "77"], ["adapt", "77"]):
        shown = CliRunner().invoke(app, command)
        assert shown.exit_code == 1
        assert "Nothing is kept of project 77" in shown.output


def test_a_damaged_table_of_scores_costs_its_figures_alone(settings: Settings, store: ProjectStore) -> None:
    store.scores_file(3).write_text("task,clip\n1")
    found = read(settings)
    assert (found.histogram, found.next_clips) == ((), ())
    assert all(one.share is None for one in found.classes)
    assert found.rounds[-1].metrics is not None


def test_moments_for_people() -> None:
    assert [duration(seconds) for seconds in (40, 700, 18_000, 300_000)] == ["40 s", "12 min", "5 h", "3 days"]
    assert [pace(rate) for rate in (12.0, 0.5, 0.001)] == ["12 a second", "30 a minute", "3.6 an hour"]
    assert ago(100.0, 130.0) == "30 s ago"
