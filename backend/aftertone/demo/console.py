"""What a person at the terminal sees: a line per step, with a bar while it lasts."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rich.console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

WIDTH = 36  # characters of a step's name; with bar, count and clock a line fits into 80

Bar = Callable[[int, int], None]
"""Called as `bar(done, total)`; a total of 0 means that nobody knows how much there is."""


class Console:
    """Prints for people. Where nobody watches (a pipe, a log file) there are only the finished steps."""

    def __init__(self) -> None:
        self._console = rich.console.Console(highlight=False)

    def say(self, text: str = "") -> None:
        """Print text as it is."""
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, name: str) -> Iterator[Bar]:
        """Show a bar while the block runs, and then how long it took, if that was worth a line."""
        began = time.monotonic()
        columns = TextColumn(f"  {{task.description:<{WIDTH}}}"), BarColumn(20), TextColumn("{task.fields[count]:>9}")
        unseen = not self._console.is_terminal
        with Progress(*columns, TimeElapsedColumn(), console=self._console, transient=True, disable=unseen) as progress:
            task = progress.add_task(name, total=None, count="")

            def bar(done: int, total: int) -> None:
                count = f"{done}/{total}" if total else ""
                progress.update(task, completed=done, total=total or None, count=count)

            yield bar
        if (seconds := time.monotonic() - began) >= 1:
            self.say(f"  {name:<{WIDTH}} {seconds:>6.0f} s")
