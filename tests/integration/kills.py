"""Deaths and standstills to order: a signal at a named point of `advance`, in a process of its own."""

import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from aftertone.labelstudio.client import LabelStudio
from aftertone.pipeline.advance import Advance
from aftertone.settings import load_settings


class Death(Protocol):
    """Arranges for this process to be killed, or stopped, somewhere on the way."""

    def arrange(self) -> None: ...


@dataclass(frozen=True)
class AtStage:
    """At the first progress report of a stage."""

    stage: str
    number: int = signal.SIGKILL

    def arrange(self) -> None:
        real, stage, number = Advance._save_progress, self.stage, self.number

        def report(self: Advance, name: str, done: int, total: int) -> None:
            real(self, name, done, total)
            if name == stage:
                Advance._save_progress = real  # type: ignore[method-assign]
                os.kill(os.getpid(), number)

        Advance._save_progress = report  # type: ignore[method-assign]


@dataclass(frozen=True, kw_only=True)
class Before:
    """Right before a call to Label Studio."""

    call: str  # name of the method

    def arrange(self) -> None:
        setattr(LabelStudio, self.call, lambda *_, **__: _die())


@dataclass(frozen=True, kw_only=True)
class After:
    """Right after a call to Label Studio has succeeded."""

    call: str  # name of the method

    def arrange(self) -> None:
        real = getattr(LabelStudio, self.call)

        def call(*args: Any, **kwargs: Any) -> None:
            real(*args, **kwargs)
            _die()

        setattr(LabelStudio, self.call, call)


def advance_and_die(project: int, death: Death) -> None:
    """Advance a project in a process of its own until it is killed."""
    child = begin_advance(project, death)
    child.join(300)
    assert child.exitcode == -signal.SIGKILL, f"the process ended with {child.exitcode} instead of being killed"


def begin_advance(project: int, death: Death) -> BaseProcess:
    """Advance a project in a process of its own.

    It is forked from a process that never ran torch: a fork of this one would wait for threads that it hasn't got.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["aftertone.pipeline.advance"])
    child = context.Process(target=_advance, args=(project, death, dict(os.environ)))
    child.start()
    return child


def _advance(project: int, death: Death, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    death.arrange()
    Advance(project, load_settings(), lambda _: None).run()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
