"""Progress on a terminal: a bar for the stage under way, with the time left."""

import sys

from tqdm import tqdm

EVERY = 30.0  # seconds between lines where nobody watches, such as in a log file


class ProgressBars:
    """A `Progress` callback; the next stage's bar takes the place of the last one's."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` parts of a stage are done."""
        bar = self._bar
        if bar is None or bar.desc.rstrip(": ") != stage or bar.total != total or done < bar.n:
            self.close()
            interval = 0.2 if sys.stderr.isatty() else EVERY
            bar = self._bar = tqdm(desc=stage, total=total, initial=done, mininterval=interval, leave=False)
        bar.update(done - bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
