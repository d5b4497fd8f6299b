"""Progress on a terminal: a bar for the stage under way, with the time left. In a log: a line now and then."""

import sys
import time

from tqdm import tqdm

EVERY = 30.0  # seconds between lines where nobody watches, such as in a log file


class ProgressBars:
    """A `Progress` callback; the next stage's bar takes the place of the last one's."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._told = time.monotonic()  # when the last line was written, or we began

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` parts of a stage are done."""
        if not sys.stderr.isatty():
            self._tell(stage, done, total)
            return
        bar = self._bar
        if bar is None or bar.desc.rstrip(": ") != stage or bar.total != total or done < bar.n:
            self.close()
            bar = self._bar = tqdm(desc=stage, total=total, initial=done, mininterval=0.2, leave=False)
        bar.update(done - bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _tell(self, stage: str, done: int, total: int) -> None:
        """A line of its own, whatever the stage; none where all is done soon."""
        now = time.monotonic()
        if now - self._told >= EVERY:
            self._told = now
            print(f"{stage}: {done} of {total}", file=sys.stderr, flush=True)
