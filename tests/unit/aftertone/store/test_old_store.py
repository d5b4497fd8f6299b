"""The store that d52d7a6 left behind opens, is migrated, goes on and publishes."""

from pathlib import Path

import pytest

from aftertone.server.predict import predict
from aftertone.settings import Settings
from aftertone.status import status
from aftertone.store.project import Store
from tests.unit.aftertone.loops import MemoryLoop, old_loop, unpack

VERSIONS = ["aftertone-000-f76953", "aftertone-001-c1f961", "aftertone-002-40f32c"]


@pytest.fixture
def loop(tmp_path: Path, settings: Settings) -> MemoryLoop:
    return old_loop(unpack(tmp_path), settings)


def test_status_and_predict_read_it_as_it_is(loop: MemoryLoop) -> None:
    (project,) = status(Store(loop.settings.model_dir)).projects
    assert [record.version for record in project.rounds] == VERSIONS
    assert (project.serving, project.tasks, project.clips, project.problem) == (2, 30, 30, None)
    assert (metrics := project.rounds[2].metrics) is not None
    assert metrics.clips == 2
    tasks = [(10, True), (27, True), (999, True)]
    label_config = loop.label_studio.state["project"]["label_config"]
    first, second, unknown = predict(loop.store, tasks, label_config, loop.settings)
    assert (first["result"][0]["value"], first["score"]) == ({"choices": ["sad"]}, 0.645755)
    assert (second["result"][0]["value"], second["score"]) == ({"choices": ["neutral"]}, 0.696057)
    assert (unknown["result"], unknown["model_version"]) == ([], "hidden-002-40f32c")


def test_three_more_labels_make_the_next_round(loop: MemoryLoop) -> None:
    held_out = loop.store.load().held_out
    adapted = {file: file.stat().st_mtime_ns for file in loop.store.adapted.iterdir()}
    loop.advance()
    assert loop.store.round_numbers() == [0, 1, 2]
    loop.label(3)
    loop.advance()
    loop.check_queue()
    record = loop.last
    assert (record.number, record.labels, record.strategy, record.kind) == (3, 18, "margin", "trained")
    assert [r.version for r in loop.store.rounds()[:3]] == VERSIONS
    assert loop.fetcher.fetched == []
    assert {file: file.stat().st_mtime_ns for file in loop.store.adapted.iterdir()} == adapted
    assert loop.store.load().held_out == held_out
    assert set(record.tested) <= {clip for clip, test in held_out.items() if test}
    names = {path.name for path in loop.store.folder.iterdir()}
    assert {"test-split.json", "warnings.json"} <= names
    assert not {"exam.json", "notes.json"} & names
