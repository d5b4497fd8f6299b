"""A record's file: what is written is read again, by people too, whatever its layout and its age."""

import json
import math
from pathlib import Path

import pytest

from aftertone.errors import DamagedRecordError, StoreError
from aftertone.labelstudio.tasks import Answer, Task, TaskCache
from aftertone.store.folder import read_record, write_record
from aftertone.store.records import HeldOut, Record, Source, Sources, Tasks
from aftertone.store.rounds import Round
from tests.unit.aftertone.records import make_round

MOMENT = "2026-01-01T00:00:00.000000Z"
RECORDS = [
    Tasks(
        cache=TaskCache(
            shape=("emotion", "single-choice", "audio", "speaker"),
            total=1,
            read_to=MOMENT,
            tasks=(Task(id=7, source="/Ж.wav", speaker="Anna", updated_at=MOMENT, answer=Answer(votes={"sad": 0.5})),),
        )
    ),
    Sources(sources={"/Ж.wav": Source(clip="a", seconds=1.5, at=1e9 + 0.1), "": Source(error="No audio.", retry=True)}),
    make_round(3, kind="trained", labelled={"a": [1.0, 0.0, 1e-7]}, seconds={"train": math.inf}),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_what_is_written_is_read(record: Record, tmp_path: Path) -> None:
    write_record(tmp_path, record)
    path = tmp_path / record.FILE
    assert read_record(type(record), path) == record
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == record.model_dump(mode="json")
    assert "\n " in text
    path.write_text(json.dumps(json.loads(text)), encoding="utf-8")  # as another tool would lay it out
    assert read_record(type(record), path) == record


@pytest.mark.parametrize("content", ["{}", "[]", '{"schema_version": 1', '{\n "schema_version": 1,\n "other": 1}'])
def test_what_is_no_record_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / HeldOut.FILE
    path.write_text(content)
    with pytest.raises(DamagedRecordError, match=HeldOut.FILE):
        read_record(HeldOut, path)


@pytest.mark.parametrize("layout", [None, 1])
def test_a_newer_record_is_left_alone(layout: int | None, tmp_path: Path) -> None:
    path = tmp_path / Round.FILE
    path.write_text(json.dumps({"schema_version": 2}, indent=layout))
    with pytest.raises(StoreError, match="newer Aftertone"):
        read_record(Round, path)
