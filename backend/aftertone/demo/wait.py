"""Waiting for Aftertone, with what it is doing on the screen."""

import time
from collections.abc import Callable
from contextlib import ExitStack

from aftertone.demo.console import Screen
from aftertone.demo.errors import DemoError
from aftertone.store.project import ProjectStore
from aftertone.store.records import Doing, Problem

LOOK_SECONDS = 0.3
STALLED_SECONDS = 900.0  # without a sign of life; the longest silent step on a slow machine takes a fraction of it

STAGES = {
    "fetch": "Fetching the audio",
    "extract": "Computing features",
    "adapt": "Adapting the backbone to the audio",
    "seed": "Spreading the seed set",
    "train": "Fine-tuning",
    "score": "Scoring the pool",
}
"""The worker's stages that get a bar, and what they are called on it. The others are short, or parts of these."""


class Watch:
    """Follows one project's progress through the files that the worker keeps."""

    def __init__(self, store: ProjectStore, screen: Screen, check: Callable[[], None]) -> None:
        self._store, self._screen = store, screen
        self._check = check  # raises when a process has ended
        self._told: str | None = None  # the problem last shown

    def until(self, reached: Callable[[], bool], *, patient: bool = False) -> None:
        """Shows bars until `reached()`.

        Raises DemoError when the worker gives no sign of life for a quarter of an hour, unless `patient`: it may have
        nothing to do until somebody labels.
        """
        stage, bar, seen = "", _no_bar, time.time()  # what was reported before we looked belongs to another wait
        with ExitStack() as shown:
            while not reached():
                self._check()
                self._tell_problem()
                progress = self._store.read(Doing)
                if progress is not None and progress.at > seen:
                    seen = progress.at
                    if progress.total and progress.stage in STAGES.keys() - {stage}:
                        shown.close()
                        stage = progress.stage
                        bar = shown.enter_context(self._screen.step(STAGES[stage]))
                    if progress.stage == stage:
                        bar(progress.done, progress.total)
                if not patient and time.time() - seen > STALLED_SECONDS:
                    raise DemoError(
                        f"Aftertone has shown no sign of life for {STALLED_SECONDS / 60:.0f} minutes. Look at the "
                        "end of logs/worker.log in the demo's folder, then run the same command again."
                    )
                time.sleep(LOOK_SECONDS)

    def until_round(self, number: int) -> None:
        """Shows bars until round `number` is in front of the annotators."""
        self.until(lambda: (self._store.current if self._store.current is not None else -1) >= number)

    def _tell_problem(self) -> None:
        problem = self._store.read(Problem)
        if problem is not None and problem.message != self._told:
            self._told = problem.message
            self._screen.say(f"  Aftertone could not {problem.step}: {problem.message}\n  It will try again by itself.")


def _no_bar(_done: int, _total: int) -> None:
    """The bar while nothing is going on."""
