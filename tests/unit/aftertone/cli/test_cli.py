"""The command by itself: which version it is, and what it can do."""

from importlib.metadata import version
from typing import Any

from typer.main import get_command
from typer.testing import CliRunner

from aftertone.cli import app, experiments


def test_says_the_installed_version() -> None:
    outcome = CliRunner().invoke(app, ["--version"])
    assert (outcome.exit_code, outcome.output) == (0, f"aftertone {version('aftertone')}\n")


def test_help_lists_what_runs_beside_label_studio_before_experiments() -> None:
    group: Any = get_command(app)  # declared without its commands
    commands = list(group.commands)
    assert commands[:3] == ["serve", "worker", "status"]
    assert [name for name in commands if hasattr(experiments, name)] == commands[-3:]
