"""Waiting for Aftertone, with what it is doing on the console."""

import time
from collections.abc import Callable
from contextlib import ExitStack

from aftertone.demo.console import Console
from aftertone.demo.errors import DemoError
from aftertone.store.project import ProjectStore
from aftertone.store.records import Doing, Problem, Warnings

LOOK_SECONDS = 0.3
STALLED_SECONDS = 900.0  # without progress; the longest step that reports none takes a fraction of it on slow machines

STAGES = {
    "fetch": "Fetching the audio",
    "extract": "Computing features",
    "adapt": "Adapting the backbone to the audio",
    "seed": "Choosing the seed set",
    "train": "Fine-tuning",
    "score": "Scoring the pool",
}
"""The worker's stages that get a bar, and what they are called on it. Others are short, or parts of these."""


class Watch:
    """Follows one project's progress through the files that the worker keeps."""

    def __init__(self, store: ProjectStore, console: Console, check: Callable[[], None]) -> None:
        self._store, self._console = store, console
        self._check = check  # raises when a process has ended
        self._told: str | None = None  # the problem last shown

    def until(self, reached: Callable[[], bool], *, patient: bool = False) -> None:
        """Show bars until `reached()`.

        Args:
            patient: wait for ever, since the worker may have nothing to do until somebody labels.

        Raises:
            DemoError: the worker made no progress for a quarter of an hour, or a process has ended.
        """
        stage, bar, seen = "", None, time.time()  # what was reported before we looked belongs to another wait
        with ExitStack() as shown:
            while not reached():
                self._check()
                self._tell_problem()
                doing = self._store.read(Doing)
                if doing is not None and doing.at > seen:
                    seen = doing.at
                    if not doing.total or doing.stage in STAGES.keys() - {stage}:
                        shown.close()
                        # Without a total the worker waits, which is no part of its last stage.
                        stage = doing.stage
                        bar = shown.enter_context(self._console.step(STAGES[stage])) if doing.total else None
                    if bar and doing.stage == stage:
                        bar(doing.done, doing.total)
                if not patient and time.time() - seen > STALLED_SECONDS:
                    raise DemoError(
                        f"Aftertone has made no progress for {STALLED_SECONDS / 60:.0f} minutes. Look at the end of "
                        "logs/worker.log in the demo's folder, then run the same command again."
                    )
                time.sleep(LOOK_SECONDS)

    def until_round(self, number: int) -> None:
        """Show bars until annotators are served round `number`, or a later one; raises as `until` does."""
        self.until(lambda: (self._store.current if self._store.current is not None else -1) >= number)

    def tell(self, *checks: str) -> None:
        """Say what these checks found when the project was last looked at, and what follows from it."""
        for finding in self._store.get(Warnings).findings:
            if finding.key in checks:
                self._console.say(f"  {finding.sentence}\n  {finding.why}")

    def _tell_problem(self) -> None:
        problem = self._store.read(Problem)
        if problem is not None and problem.message != self._told:
            self._told = problem.message
            self._console.say(
                f"  Aftertone could not {problem.step}: {problem.message}\n  It will try again by itself."
            )
