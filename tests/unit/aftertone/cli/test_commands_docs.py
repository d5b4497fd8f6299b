"""docs/commands.md is made from the command line, and leaves nothing out."""

from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from aftertone.cli import app
from aftertone.cli.commands_docs import guide

PAGE = Path(__file__).parents[4] / "docs" / "commands.md"
GROUP: Any = get_command(app)  # declared without its commands


def test_the_page_of_commands_is_up_to_date() -> None:
    assert PAGE.read_text() == guide(), "run: python -m aftertone.cli.commands_docs > docs/commands.md"


@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_every_argument_and_option_says_what_it_is(name: str) -> None:
    part = guide().partition(f"\n## aftertone {name}\n")[2].partition("\n## ")[0]
    command = GROUP.commands[name]
    assert command.help
    for parameter in command.params:
        assert parameter.help, parameter.name
        assert parameter.help.replace("|", "\\|") in part
        if parameter.param_type_name == "option":
            assert all(f"`{option}" in part for option in parameter.opts)
