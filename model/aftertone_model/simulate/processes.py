"""The processes of a simulation: side by side, each with one thread, and gone at once where the simulation is ended."""

import multiprocessing
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from aftertone_model.simulate.prepared import one_thread


class Processes(ProcessPoolExecutor):
    """Begun as they are needed. A terminal's Ctrl-C reaches the main process alone, which ends them."""

    def __init__(self, count: int) -> None:
        super().__init__(count, mp_context=multiprocessing.get_context("spawn"), initializer=one_thread)
        self._others = set(multiprocessing.active_children())

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a function called in one of them."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which a process that begins now inherits
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def end(self) -> None:
        """In a `finally`: let them end, or, where an error is on its way, end them in the middle of their work.

        That costs what they were at and nothing else: what is kept is written whole.
        """
        self.shutdown(wait=False, cancel_futures=True)
        if sys.exc_info()[0] is not None:
            for process in set(multiprocessing.active_children()) - self._others:
                process.kill()
