"""How much audio is computed at once, so that it fits into memory; less after each time that memory ran out.

And how much memory a process has taken.
"""

import logging
import math
import resource
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from aftertone_model.data.batches import length_batches
from aftertone_model.errors import OutOfMemoryError

log = logging.getLogger(__name__)

Parts = Sequence[NDArray[np.int64]]
Result = TypeVar("Result")


def memory_ran_out(error: BaseException) -> bool:
    """Whether an error is that of a GPU, or of PyTorch's allocator on a CPU, that had no room."""
    on_cpu = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    return on_cpu or isinstance(error, torch.OutOfMemoryError | MemoryError)


def peak_memory() -> int:
    """Most bytes of main memory that this process has taken since it began."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024)  # KiB but on macOS


class Portion:
    """The most audio that one pass through a model computes."""

    def __init__(self, seconds: float, work: str, save: Callable[[], bool] = lambda: False) -> None:
        """
        Args:
            seconds: of audio at once, padding included, to begin with.
            work: what is computed, for messages.
            save: makes a pass need less memory in another way, where a single clip is too much; False if there is none.
        """
        self.seconds = seconds
        self._work, self._save = work, save

    def run(self, seconds: ArrayLike, compute: Callable[[Parts], Result]) -> Result:
        """Compute clips of (N,) `seconds` in parts; all of them again in smaller parts where memory ran out.

        Args:
            compute: takes the parts, each ascending numbers of clips; together they are 0..N-1.

        Raises:
            OutOfMemoryError: not even a single clip fits.
        """
        durations = np.asarray(seconds, np.float64)
        while True:
            parts = [np.sort(part) for part in length_batches(durations, self.seconds)]
            try:
                return compute(parts)
            except (RuntimeError, MemoryError) as error:
                if not memory_ran_out(error):
                    raise
                said = str(error).splitlines()[0] if str(error) else "MemoryError"
            # Not before here is the error gone, and with it what its traceback holds.
            self._shrink(durations, parts, said)

    def _shrink(self, durations: NDArray[np.float64], parts: Parts, said: str) -> None:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if max(map(len, parts)) == 1:
            if self._save():
                log.warning(
                    "Memory ran out in %s (%s): activations are computed twice instead of kept",
                    self._work, said, extra={"action": "memory_ran_out"},
                )  # fmt: skip
                return
            raise OutOfMemoryError(
                f"Memory ran out in {self._work} with a single clip of {durations.max():.1f} s ({said}). Set a smaller "
                "backbone, shorter clips (MAX_CLIP_SECONDS), or use a machine with more memory."
            )
        largest = max(float(durations[part].max()) * len(part) for part in parts)
        self.seconds = min(self.seconds, largest) / 2
        log.warning(
            "Memory ran out in %s (%s): tried again with %.0f s of audio at once", self._work, said,
            math.ceil(self.seconds), extra={"action": "memory_ran_out"},
        )  # fmt: skip
