"""ProgressBars: a stage after the other, and none left behind."""

import pytest
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone.progress import ProgressBars


def test_a_bar_per_stage_and_nothing_left(capsys: pytest.CaptureFixture[str]) -> None:
    bars = ProgressBars()
    for done in range(4):
        bars("decode", done, 3)
    for done in range(3):
        bars("adapt", done, 2)
    bars.close()
    bars.close()
    drawn = capsys.readouterr().err
    assert drawn.index("decode") < drawn.index("adapt")
    assert drawn.rstrip(" \r\n") != drawn  # the last one was wiped


@pytest.mark.parametrize("speeds", ["fast", "", "1,9"])
def test_speeds_are_numbers_around_one(speeds: str, tmp_path) -> None:
    options = ["--out", str(tmp_path / "model"), "--speeds", speeds]
    outcome = CliRunner().invoke(app, ["pretrain", str(tmp_path / "manifest.csv"), *options])
    assert outcome.exit_code == 2
    assert "speeds from 0.5 to 2" in outcome.output.replace("\n", " ")


@pytest.mark.parametrize(("option", "value"), [("--tapt", "maybe"), ("--shares", "a fifth"), ("--shares", "0")])
def test_simulate_refuses_what_it_cannot_read(option: str, value: str, tmp_path) -> None:
    outcome = CliRunner().invoke(app, ["simulate", str(tmp_path / "manifest.csv"), option, value])
    assert outcome.exit_code != 0
    assert "takes" in outcome.output or "percentages above 0" in outcome.output
