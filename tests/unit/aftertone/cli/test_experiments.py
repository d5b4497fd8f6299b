"""`aftertone pretrain` and `aftertone simulate`: what they refuse before they begin."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from aftertone.cli import app


@pytest.mark.parametrize("speeds", ["fast", "", "1,9"])
def test_speeds_are_numbers_around_one(speeds: str, tmp_path: Path) -> None:
    options = ["--out", str(tmp_path / "model"), "--speeds", speeds]
    outcome = CliRunner().invoke(app, ["pretrain", str(tmp_path / "manifest.csv"), *options])
    assert outcome.exit_code == 2
    assert "speeds from 0.5 to 2" in outcome.output.replace("\n", " ")


@pytest.mark.parametrize(("option", "value"), [("--tapt", "maybe"), ("--shares", "a fifth"), ("--shares", "0")])
def test_simulate_refuses_what_it_cannot_read(option: str, value: str, tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, ["simulate", str(tmp_path / "manifest.csv"), option, value])
    assert outcome.exit_code != 0
    assert "takes" in outcome.output or "percentages above 0" in outcome.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--method", "guessing"], "takes after, supervised-contrastive, two-stage-adapters, not guessing"),
        (["--method", "two-stage-adapters", "--strategies", "margin"], "doesn't take --strategies; leave it out"),
        (["--method", "two-stage-adapters", "--pairs", "a+b"], "doesn't take --pairs; leave it out"),
        (["--method", "supervised-contrastive", "--tapt", "off"], "doesn't take --tapt; leave it out"),
        (["--method", "two-stage-adapters", "--preset", "paper", "--preset", "paper"], "takes one --preset"),
    ],
)
def test_a_method_refuses_what_is_not_its_own(options: list[str], told: str, tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, ["simulate", str(tmp_path / "manifest.csv"), *options])
    assert outcome.exit_code == 2
    assert told in " ".join(outcome.output.replace("│", " ").split())
