"""Threads in place of a simulation's processes, which take seconds to start, for tests that aren't about them."""

from concurrent.futures import ThreadPoolExecutor

from aftertone_model.simulate.prepared import one_thread


class Threads(ThreadPoolExecutor):
    """Used as `Processes` is."""

    def __init__(self, count: int) -> None:
        super().__init__(count, initializer=one_thread)

    def end(self) -> None:
        """Let them end."""
        self.shutdown(wait=False, cancel_futures=True)
