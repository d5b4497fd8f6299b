"""The page of commands, from the command line itself: `python -m aftertone.cli.commands_docs > docs/commands.md`."""

import inspect
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from typer.main import get_command

from aftertone.cli import app

VALUES = {int: "NUMBER", float: "NUMBER", Path: "PATH", str: "TEXT"}
"""Type of an option -> how its value is written."""


def guide() -> str:
    """The page as Markdown; docs/commands.md is this text."""
    group: Any = get_command(app)
    index = "\n".join(
        f"| [`aftertone {name}`](#aftertone-{name}) | {_first(one)} |" for name, one in group.commands.items()
    )
    each = "\n".join(_command(name, one) for name, one in group.commands.items())
    return f"""# Commands

Settings are environment variables ([settings](settings.md)). `aftertone --help` lists the commands, `aftertone COMMAND
--help` the options of one, and `aftertone --version` says which version runs. An error that a person can correct ends a
command with a sentence on standard error and exit code 1; a command line that doesn't fit, with 2.

| command | what it does |
| --- | --- |
{index}

{each}"""


def _command(name: str, command: Any) -> str:
    told = "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(command.help).split("\n\n"))
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    usage = " ".join(["aftertone", name, *map(_placeholder, arguments), *(["[OPTIONS]"] if options else [])])
    tables = _table("argument", map(_argument, arguments)) + _table("option", map(_option, options))
    return f"## aftertone {name}\n\n{told}\n\n```\n{usage}\n```\n{tables}"


def _table(title: str, rows: Iterable[str]) -> str:
    lines = "\n".join(rows)
    return f"\n| {title} | default | what it is |\n| --- | --- | --- |\n{lines}\n" if lines else ""


def _placeholder(argument: Any) -> str:
    """An argument as it stands in the usage line."""
    name = (argument.metavar or argument.name).upper()
    if argument.nargs != 1 and not name.endswith("..."):
        name += "..."
    return name if argument.required else f"[{name}]"


def _argument(argument: Any) -> str:
    return f"| `{_placeholder(argument).strip('[]')}` | {_default(argument)} | {_told(argument)} |"


def _option(option: Any) -> str:
    """A row for an option; of a switch that can be put either way, both."""
    value = "" if option.is_flag else f" {_value(option)}"
    names = ", ".join(f"`{name}{value}`" for name in (*option.opts, *option.secondary_opts))
    return f"| {names} | {_default(option)} | {_told(option)} |"


def _value(option: Any) -> str:
    annotation = option.type_descriptor.annotation
    kind = (get_args(annotation) or (annotation,))[0]
    if issubclass(kind, Enum):
        return "\\|".join(str(one.value) for one in kind)
    return VALUES[kind]


def _default(parameter: Any) -> str:
    if parameter.required:
        return "*(required)*"
    default = parameter.default
    if default is None or default == "" or default is False:
        return ""
    return f"`{default.value if isinstance(default, Enum) else default}`"


def _told(parameter: Any) -> str:
    """Its help, with its least value and the environment variable that sets it too."""
    said = [parameter.help or ""]
    if parameter.min is not None:
        said.append(f"At least {parameter.min}.")
    if parameter.envvar:
        said.append(f"Also the environment variable {parameter.envvar}.")
    return " ".join(said).replace("|", "\\|")


def _first(command: Any) -> str:
    """The first sentence of a command's help."""
    return " ".join(command.help.split("\n\n")[0].split()).partition(". ")[0].rstrip(".").replace("|", "\\|") + "."


if __name__ == "__main__":
    print(guide(), end="")
