"""The command line, `aftertone`: what it can do is what `aftertone --help` lists."""

import os
import sys

import typer

from aftertone.cli.experiments import pretrain, simulate, strategies
from aftertone.cli.serving import adapt, clean, demo, export, serve, status, worker

__all__ = ["app", "main"]

app = typer.Typer(
    help="A Label Studio ML backend that learns speech emotion from a fifth of the labels. Settings are environment "
    "variables; see docs/settings.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# `aftertone --help` lists them in this order.
for command in (serve, worker, status, export, adapt, clean, demo, strategies, pretrain, simulate):
    app.command()(command)


def main() -> None:
    """Entry point of the `aftertone` command."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Threads that wait for each other sleep instead of spinning: the worker shares its cores with Label Studio.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(app())
