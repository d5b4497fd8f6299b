"""The command line, `aftertone`: what it can do is what `aftertone --help` lists."""

import os
import sys
from typing import Annotated

import typer

from aftertone import __version__
from aftertone.cli.experiments import pretrain, simulate, strategies
from aftertone.cli.outputs import export, predict, predictions
from aftertone.cli.serving import clean, demo, doctor, host, serve, worker
from aftertone.cli.status import plan, rounds, status
from aftertone.cli.steering import adapt, cancel, forget, pause, resume, rollback, set_options, train

__all__ = ["app", "main"]

INTERRUPTED = 130  # exit code after Ctrl-C

app = typer.Typer(
    help="A Label Studio ML backend that learns speech emotion from a fifth of the labels. Settings are environment "
    "variables; see docs/settings.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"aftertone {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Say which version this is, and exit.", is_eager=True, callback=_say_version),
    ] = False,
) -> None:
    """What may be asked of `aftertone` without a command."""


# `aftertone --help` lists them in this order.
for command in (
    *(serve, worker, status, rounds, plan, doctor),
    *(export, predictions, predict),
    *(train, adapt, rollback, pause, resume, cancel),
):
    app.command()(command)
app.command("set")(set_options)
for command in (forget, clean, host, demo, strategies, pretrain, simulate):
    app.command()(command)


def main() -> None:
    """Entry point of the `aftertone` command."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Threads that wait for each other sleep instead of spinning: the worker shares its cores with Label Studio.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        sys.exit(app())
    except SystemExit as end:
        if end.code == INTERRUPTED:  # whoever presses Ctrl-C doesn't wait until torch has taken itself apart
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        raise
