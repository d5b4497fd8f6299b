"""What a user can correct is told in a sentence, not in a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from aftertone.settings import Settings


@contextmanager
def explained() -> Iterator["Settings"]:
    """The settings; an error that a user can correct ends the command with its message alone."""
    from aftertone.faults import explain  # these bring numpy and pydantic, which `--help` needn't wait for
    from aftertone.logs import configure_logging
    from aftertone.options import secrets_of
    from aftertone.settings import load_settings

    try:
        settings = load_settings()
        configure_logging(settings.log_format, secrets_of(settings))
        yield settings
    except BrokenPipeError:
        raise  # whoever read our output has read enough; typer ends quietly
    except Exception as error:
        if (message := explain(error)) is None:
            raise
        typer.echo(f"aftertone: {message}", err=True)
        raise typer.Exit(1) from None
