"""Processes that do for the page what the server itself must not: load torch, read strangers' files, take minutes.

Each is a module of this package that a process of its own runs, and that ends when it is done: the server stays light
and answers Label Studio meanwhile, nobody waits behind a training as they would in the workers' queue, and nothing of
what was sent lies in Redis. None of them gets the server's passwords and tokens.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect, Request

from aftertone.setting_names import SECRETS
from aftertone.settings import Settings
from aftertone_model.errors import AftertoneError

HANDED_ON = ("model_dir", "backbone", "preset", "device", "max_clip_seconds", "channel")
"""Settings that a process gets whatever the environment says."""

LEFT_OUT = (*SECRETS, "basic_auth_user")
"""Settings that it doesn't get; without its password, a user name alone would be refused as half a setting."""


class ChildError(AftertoneError):
    """A process ended without doing what it was started for."""


async def run(module: str, arguments: Sequence[str], settings: Settings, given: bytes, *, seconds: float) -> bytes:
    """Run a module in a process of its own and wait for it; it is ended where the caller goes away.

    Args:
        module: such as `aftertone.page.listening`.
        given: to its standard input.
        seconds: that it may take.

    Returns:
        What it wrote to its standard output.

    Raises:
        ChildError: it took longer, or ended with another status than 0.
    """
    with tempfile.TemporaryDirectory() as folder:  # which goes also where the process can't remove its own files
        process = await asyncio.create_subprocess_exec(
            *_command(module, arguments), env={**environment(settings), "TMPDIR": folder}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(seconds):
                written, _ = await process.communicate(given)
        except TimeoutError:
            raise ChildError(f"It took longer than {seconds:.0f} s. Try again when the machine is less busy.") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
    if process.returncode:
        raise ChildError(
            f"The process that does it ended with status {process.returncode}; perhaps memory is short. Try again."
        )
    return written


def start(module: str, arguments: Sequence[str], settings: Settings) -> None:
    """Run a module in a process of its own that goes on by itself, also when the server ends."""
    process = subprocess.Popen(
        _command(module, arguments), env=environment(settings), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    threading.Thread(target=process.wait, name=module, daemon=True).start()  # or it would stay as a zombie


def environment(settings: Settings) -> dict[str, str]:
    """Ours without secrets, with the settings that matter."""
    kept = {name: value for name, value in os.environ.items() if name.lower() not in LEFT_OUT}
    ours = {name.upper(): str(getattr(settings, name)) for name in HANDED_ON}
    path = os.pathsep.join(folder for folder in sys.path if folder)
    return {**kept, **ours, "PYTHONPATH": path}


def _command(module: str, arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-P", "-m", module, *arguments]


async def for_caller(request: Request, doing: Coroutine[Any, Any, bytes]) -> bytes:
    """What is done for a caller, and ended where the caller goes away: whoever comes next isn't kept waiting.

    Raises:
        ClientDisconnect: the caller went away.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    done, left = asyncio.ensure_future(doing), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((done, left), return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise ClientDisconnect
        return done.result()
    finally:
        for one in (done, left):
            one.cancel()
        await asyncio.gather(done, left, return_exceptions=True)
