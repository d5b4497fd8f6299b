"""How far a long job has come: the callback that every long job takes, and what tames it."""

import os
import sys
import time
from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as `progress(stage, done, total)`. Raising in it cancels the job, which leaves nothing half-written."""

INTERVAL = 0.5  # seconds between two reports of one stage


def silent(stage: str, done: int, total: int) -> None:
    """The progress callback of someone who doesn't look."""


def throttled(progress: Progress, interval: float = INTERVAL) -> Progress:
    """Pass on the first report of a stage, its last one, and one per interval between them."""
    stage, at = "", 0.0

    def report(name: str, done: int, total: int) -> None:
        nonlocal stage, at
        if name != stage or done >= total or time.monotonic() - at >= interval:
            stage, at = name, time.monotonic()
            progress(name, done, total)

    return report


def hide_library_bars() -> None:
    """Keep transformers from drawing bars into logs; it loads small files in no time.

    What is imported later heeds the environment, so that nothing is imported for this.
    """
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    if "huggingface_hub" in sys.modules:  # which has read the environment; transformers does as it does
        from transformers.utils import logging

        logging.disable_progress_bar()
