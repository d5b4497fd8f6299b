"""Ctrl-C, a closed terminal and a polite kill all mean the same to a demo: end everything, lose nothing."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interrupts_raised() -> Iterator[None]:
    """Inside the block each of SIGNALS raises KeyboardInterrupt, also where the shell had set it to be ignored."""
    with _handlers(signal.default_int_handler):
        yield


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Keep SIGNALS waiting until the block is through, for the few steps that must not be cut in two."""
    arrived: list[int] = []
    with _handlers(lambda number, _frame: arrived.append(number)):
        yield
    if arrived:
        signal.raise_signal(arrived[0])


@contextmanager
def _handlers(handler: object) -> Iterator[None]:
    # Handlers, not a signal mask or SIG_IGN: those two would pass on to the processes started meanwhile.
    before = {number: signal.signal(number, handler) for number in SIGNALS}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)
