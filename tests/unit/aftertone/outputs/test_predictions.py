"""`aftertone predictions`: every clip once, with what people say and exactly what the served model says."""

import base64
import csv
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest
from typer.testing import CliRunner

from aftertone.addresses import without_secrets
from aftertone.cli import app
from aftertone.errors import StoreError
from aftertone.outputs.predictions import predictions_of
from aftertone.outputs.table import Row, for_spreadsheets, rows_of, write_table, writer_of
from aftertone.server.predict import predict
from aftertone_model.export import emotions
from tests.unit.aftertone.fake_label_studio import CONFIG, FakeLabelStudio
from tests.unit.aftertone.loops import MemoryLoop, connect
from tests.unit.aftertone.pipeline.test_ratings import CONFIG as RATINGS
from tests.unit.aftertone.pipeline.test_ratings import rate


def carried(loop: MemoryLoop) -> dict[int, Row]:
    return {row["task"]: row for row in rows_of(predictions_of(loop.store, loop.settings))}


def served(loop: MemoryLoop, config: str) -> dict[int, dict[str, Any]]:
    """What /predict says of every task that the round knows."""
    shown = loop.settings.model_copy(update={"serve_predictions": True})
    tasks = [row["id"] for row in loop.label_studio.state["tasks"]]
    return dict(zip(tasks, predict(loop.store, [(task, False) for task in tasks], config, shown), strict=True))


def choices(answer: dict[str, Any]) -> list[str]:
    return [name for item in answer["result"] for name in item["value"]["choices"]]


def test_every_clip_is_there_once_with_what_predict_says(make_loop: Callable[..., MemoryLoop], tmp_path: Path) -> None:
    loop = make_loop(20, serve_predictions=True)
    studio = loop.label_studio
    twin = studio.add_task(audio="/data/upload/audio-3.wav")
    blank = studio.add_task(audio="")
    loop.advance()
    labelled = loop.label(8)
    skipped = studio.queue()[0]
    studio.annotate(skipped, skip=True)
    studio.annotate(labelled[0], "neutral", "happy", by=2)
    loop.advance()
    record = loop.last
    assert record.kind == "trained"

    rows = carried(loop)
    clips = [row["clip"] for row in rows.values() if row["clip"]]
    assert len(clips) == len(set(clips)) == 20
    assert rows[3]["tasks"] == f"3 {twin}"
    assert rows[blank]["split"] == "unusable"
    assert "no audio address" in rows[blank]["note"]
    answers = served(loop, CONFIG)
    for task, row in rows.items():
        if row["clip"]:
            assert row["round"] == record.number
            assert [row["prediction"]] == choices(answers[task])
            assert row["confidence"] == pytest.approx(answers[task]["score"], abs=1e-6)
            assert sum(row[f"p_{name}"] for name in record.classes) == pytest.approx(1, abs=1e-5)
            assert row["uncertainty"] > 0
    held_out = loop.store.load().test_clips
    for task in labelled:
        row = rows[task]
        assert row["split"] == ("test" if row["clip"] in held_out else "train")
        assert (row["voters"], row["vote_share"]) == ((2, 0.75) if task == labelled[0] and row["label"] else (1, 1.0))
    assert rows[skipped]["split"] == "skipped"
    counted = Counter(row["split"] for row in rows.values())
    assert counted["train"] + counted["test"] == 8
    assert counted["unlabelled"] == 11
    assert {row["label"] for row in rows.values() if row["split"] == "unlabelled"} == {None}

    for name in ("emotions.csv", "emotions.jsonl", "emotions.parquet"):
        write_table(list(rows.values()), tmp_path / name)
    read = [json.loads(line) for line in (tmp_path / "emotions.jsonl").read_text().splitlines()]
    assert read == list(rows.values())
    frame = pd.read_parquet(tmp_path / "emotions.parquet")
    assert frame["task"].tolist() == list(rows)
    assert frame["p_happy"].dropna().tolist() == [row["p_happy"] for row in rows.values() if row["clip"]]
    with (tmp_path / "emotions.csv").open(newline="") as file:
        assert [int(row["task"]) for row in csv.DictReader(file)] == list(rows)

    later = studio.add_task()
    loop.advance()
    assert loop.last == record
    assert later not in loop.store.scores(record.number)[1]
    found = predictions_of(loop.store, loop.settings)
    assert (found.scored, found.unknown) == (1, 0)
    scored = carried(loop)[later]
    assert (scored["split"], scored["round"]) == ("unlabelled", record.number)


def test_clips_that_came_later_get_the_numbers_that_the_round_would_have_given(
    make_loop: Callable[..., MemoryLoop],
) -> None:
    loop = make_loop(12)
    loop.advance()
    loop.label(6)
    loop.advance()
    before = carried(loop)
    path = next(loop.store.folder.glob("rounds/001/scores.csv"))
    head, *lines = path.read_text().splitlines(keepends=True)
    path.write_text(head + "".join(lines[:5]))  # as if the others had come after the round
    found = predictions_of(loop.store, loop.settings)
    assert found.scored == 7
    after = {row["task"]: row for row in rows_of(found)}
    for task, row in before.items():
        assert after[task]["prediction"] == row["prediction"]
        assert [after[task][f"p_{name}"] for name in loop.last.classes] == pytest.approx(
            [row[f"p_{name}"] for name in loop.last.classes], abs=1e-4
        )


def test_ratings_are_in_the_units_of_their_scales(settings: Any, nano: Path) -> None:
    loop = connect(FakeLabelStudio(tasks=20, label_config=RATINGS), settings, nano, {"strategy": ""})
    loop.advance()
    rated = rate(loop, 6)
    loop.advance()
    rows, answers = carried(loop), served(loop, RATINGS)
    for task, row in rows.items():
        values = {item["from_name"]: next(iter(item["value"].values())) for item in answers[task]["result"]}
        assert row["predicted_arousal"] == pytest.approx(values["arousal"], abs=0.1)
        assert 1 <= row["predicted_valence"] <= 5
        assert row["confidence"] is row["uncertainty"] is row["vote_share"] is None
    assert rows[rated[0]]["label_arousal"] == pytest.approx(45.5 * (rated[0] % 3) + 2)
    assert all(rows[task]["label_valence"] is None for task in rated if task % 5 == 0)


def test_before_the_first_training_there_are_labels_alone(make_loop: Callable[..., MemoryLoop]) -> None:
    loop = make_loop(12)
    with pytest.raises(StoreError, match="has no round yet"):
        predictions_of(loop.store, loop.settings)
    loop.advance()
    loop.label(2)
    loop.advance()
    rows = carried(loop).values()
    assert len(rows) == 12
    assert sum(row["label"] is not None for row in rows) == 2
    assert {row["prediction"] for row in rows} == {row["round"] for row in rows} == {None}


def encoded(address: str) -> str:
    """An address as Label Studio's `fileuri` has it, in a query."""
    return quote(base64.urlsafe_b64encode(address.encode()).decode())


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/data/upload/1/a%20b.wav", "/data/upload/1/a%20b.wav"),
        ("/data/local-files/?d=calls/day%201/a.wav&token=hunter2", "/data/local-files/?d=calls/day+1/a.wav"),
        ("https://u:hunter2@host:81/a.wav?X-Amz-Signature=deadbeef#hunter2", "https://host:81/a.wav"),
        ("https://host/a.wav?d=hunter2", "https://host/a.wav"),
        ("s3://bucket/a.wav?X-Amz-Credential=hunter2", "s3://bucket/a.wav"),
        ("/tasks/7/resolve/?fileuri=czM6Ly9iL2E=&sig=deadbeef", "/tasks/7/resolve/?fileuri=czM6Ly9iL2E%3D"),
        (
            f"/tasks/7/resolve/?fileuri={encoded('s3://b/a.wav?X-Amz-Signature=deadbeef')}",
            f"/tasks/7/resolve/?fileuri={encoded('s3://b/a.wav')}",
        ),
        (
            f"/tasks/7/resolve/?fileuri={encoded('https://u:hunter2@host/a.wav')}",
            f"/tasks/7/resolve/?fileuri={encoded('https://host/a.wav')}",
        ),
        ("/tasks/7/resolve/?fileuri=s3%3A%2F%2Fb%2Fa.wav%3Fsig%3Ddeadbeef", "/tasks/7/resolve/?fileuri=s3://b/a.wav"),
        ("/tasks/7/resolve/?fileuri=deadbeef!", "/tasks/7/resolve/?fileuri="),
        ("/data/local-files/?d=a.wav%253Fsig%253Ddeadbeef", "/data/local-files/?d=a.wav"),
        ("/data/local-files/?d=100%2525/a.wav", "/data/local-files/?d=100%2525/a.wav"),
        ("https://host/a.wav;jsessionid=deadbeef", "https://host/a.wav"),
        ("http://proxy/https://u:hunter2@host/a.wav", "http://proxy/https://host/a.wav"),
        ("http://proxy/https%3A//u%3Ahunter2%40host/a@b.wav", "http://proxy/https%3A//host/a@b.wav"),
        ("data:audio/wav;base64,deadbeef", "data:"),
        ("http://[hunter2", ""),
        ("", ""),
    ],
)
def test_addresses_lose_what_is_secret(address: str, told: str) -> None:
    assert without_secrets(address) == told


def test_a_spreadsheet_runs_no_strangers_formula(tmp_path: Path) -> None:
    row = {"task": 1, "speaker": "=HYPERLINK(1)", "audio": "/data/a.wav"}
    write_table([row], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "task,speaker,audio\n1,'=HYPERLINK(1),/data/a.wav\n"
    write_table([row], tmp_path / "a.jsonl")
    assert json.loads((tmp_path / "a.jsonl").read_text()) == row


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_whatever_a_spreadsheet_may_run_is_text_in_csv(tmp_path: Path, begins: str) -> None:
    write_table([{f"{begins}head": f"{begins}cmd|' /C calc'!A0", "number": -1.5}], tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        head, row = csv.reader(file)
    begins = begins.replace("\r", "\n")
    assert head == [f"'{begins}head", "number"]
    assert row == [f"'{begins}cmd|' /C calc'!A0", "-1.5"]


SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
UNSEEN = ("", " ", "\u00a0", "\u3000", "\u200b", "\ufeff", "\u2060\u00a0", "\x00", '"', "\u202e")


@pytest.mark.parametrize("write", [for_spreadsheets, emotions.for_spreadsheets])
@pytest.mark.parametrize("unseen", UNSEEN)
def test_signs_behind_what_nobody_sees_and_where_readers_split_begin_no_formula(
    write: Callable[[str], str], unseen: str
) -> None:
    for formula in (f"{unseen}{sign}1+1" for sign in SIGNS):
        assert write(formula) == f"'{formula}"
        assert write(f"ann;{formula}; bob") == f"ann;'{formula}; bob"
        assert write(f"ann\t{formula}") == f"ann\t'{formula}"
        assert write(f"ann\r{formula}") == f"ann\n'{formula}"
        assert write(f"\t{formula}") == f"'\t'{formula}"


@pytest.mark.parametrize("write", [for_spreadsheets, emotions.for_spreadsheets])
@pytest.mark.parametrize(
    "name",
    [
        "Ann-Marie; O'Neill",
        "a=b, c@d; e+f",
        "happy; sad",
        "\u00a0Zo\u00eb",
        '"deep" voice',
        "",
        "\u5e78\u305b;",
        "a\nb",
    ],
)
def test_ordinary_names_stay_as_they_are(write: Callable[[str], str], name: str) -> None:
    assert write(name) == name


def test_a_carriage_return_begins_no_row(tmp_path: Path) -> None:
    write_table([{"speaker": "ann\r=1+1", "label": "a\r\nb"}], tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1:] == [["ann\n'=1+1", "a\nb"]]


def test_no_cell_of_a_stranger_holds_a_table_up() -> None:
    for part in (";", "\n", " ", "\u00a0;", "; =", '"'):
        assert for_spreadsheets(part * 200_000)


def test_it_says_what_is_wrong_before_it_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, said in (("a.xlsx", "must end in .csv, .jsonl, .parquet"), ("no/a.csv", "There is no folder")):
        with pytest.raises(StoreError, match=said):
            writer_of(tmp_path / name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(StoreError, match="pip install pyarrow"):
        writer_of(tmp_path / "a.parquet")


@pytest.mark.parametrize("command", ["predictions", "export"])
def test_an_unknown_project_is_told_with_what_there_is(
    command: str, make_loop: Callable[..., MemoryLoop], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loop = make_loop(2)
    monkeypatch.setenv("MODEL_DIR", str(loop.settings.model_dir))
    suffix = {"predictions": "a.csv", "export": "a"}[command]
    outcome = CliRunner().invoke(app, [command, "77", "--out", str(tmp_path / suffix)])
    assert outcome.exit_code == 1
    assert "Nothing is kept of project 77" in outcome.output
    assert "known: 1." in outcome.output
    assert not (tmp_path / suffix).exists()
