"""`aftertone predict`: new audio through an exported folder, one bad file at a time."""

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone.export import export_model
from aftertone_model.export.emotions import Emotions, read
from tests.unit.aftertone.loops import MemoryLoop


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """`aftertone predict` with these words: exit code, what it prints and what it says on standard error."""
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "none"))

    def run(*words: object) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, ["predict", *map(str, words)])
        return done.exit_code, done.stdout, done.stderr

    return run


def tones(folder: Path) -> list[Path]:
    """Six clips of two voices, in a folder and a folder below it, at two rates."""
    rng, paths = np.random.default_rng(0), []
    for number in range(6):
        path = folder / ("deep" if number % 2 else "") / f"{number}.wav"
        path.parent.mkdir(exist_ok=True, parents=True)
        rate = 16_000 if number < 4 else 22_050
        samples = (
            np.sin(2 * np.pi * (100 + 60 * number) * np.arange(8_000) / rate) * 0.3 + rng.normal(size=8_000) * 0.01
        )
        soundfile.write(path, samples, rate)
        paths.append(path)
    return paths


def test_new_files_are_judged_as_the_exports_own_program_does(
    make_loop: Callable[..., MemoryLoop], run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    loop = make_loop(12)
    loop.advance()
    loop.label(6)
    loop.advance()
    export_model(loop.store, loop.settings, tmp_path / "model")
    model, heard = Emotions(tmp_path / "model"), tmp_path / "heard"
    paths = tones(heard)
    features = model.features(map(read, paths))

    code, out, _ = run(tmp_path / "model", heard)
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["file"] for row in rows] == sorted(map(str, paths))
    by_file = {row["file"]: [float(row[name]) for name in model.classes] for row in rows}
    alone = model.strangers(features)
    for path, expected in zip(paths, alone, strict=True):
        assert by_file[str(path)] == pytest.approx(expected.tolist(), abs=1e-3)

    manifest = tmp_path / "manifest.csv"
    lines = [f"heard/{path.relative_to(heard)},{'ab'[n // 3]}\n" for n, path in enumerate(paths)]
    manifest.write_text("path,speaker\n" + "".join(lines))
    code, out, _ = run(tmp_path / "model", manifest, "--json")
    assert code == 0
    together = np.concatenate([model.one_voice(features[:3]), model.one_voice(features[3:])])
    for row, expected in zip(json.loads(out), together, strict=True):
        assert [row[name] for name in model.classes] == pytest.approx(expected.tolist(), abs=1e-3)
        assert row["emotion"] == model.classes[int(expected.argmax())]

    odd = paths[0].with_name(os.fsdecode(b"caf\xe9.wav"))
    odd.write_bytes(paths[0].read_bytes())
    code, out, _ = run(tmp_path / "model", odd)
    assert (code, next(csv.DictReader(io.StringIO(out)))["file"]) == (0, str(heard / r"caf\xe9.wav"))

    (heard / "broken.wav").write_bytes(b"RIFF")
    code, out, said = run(tmp_path / "model", *paths[:2], heard / "broken.wav", tmp_path / "gone.wav", "--one-voice",
                          "--out", tmp_path / "new.jsonl")  # fmt: skip
    assert code == 3
    assert [json.loads(line)["file"] for line in (tmp_path / "new.jsonl").read_text().splitlines()] == [
        str(path) for path in paths[:2]
    ]
    assert "broken.wav: " in said
    assert "gone.wav: there is no such file" in said
    assert "each was judged by itself" in said


def test_it_says_what_is_no_export_and_what_is_no_audio(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    code, _, said = run(tmp_path / "empty", tmp_path / "a.wav")
    assert code == 1
    assert "holds no exported model" in said
    code, _, said = run(tmp_path / "empty", tmp_path / "empty")
    assert code == 1
    assert "holds no audio files" in said
