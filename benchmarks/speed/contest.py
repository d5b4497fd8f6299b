"""Contenders that do the same work in turn, each in a process of its own, so that time and memory are its own."""

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import torch
from tqdm import tqdm


class Work(ABC):
    """What a contender does, over and over."""

    def reset(self) -> None:  # noqa: B027 -- most have nothing to undo
        """Undo what the last run left; not timed."""

    @abstractmethod
    def run(self) -> Any:
        """Do it; timed."""

    def outcome(self, returned: Any) -> Any:
        """What came of the run, picklable; not timed."""
        return returned


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One of those who do the work."""

    name: str
    prepare: Callable[[], Work]  # picklable; runs in the contender's own process, not timed


@dataclass(frozen=True, kw_only=True)
class Result:
    """Of one contender."""

    name: str
    seconds: list[float]  # of each run
    memory: float  # GB, the most that its process took, libraries and model included
    loaded: float  # GB that it took when it was prepared: libraries, and whatever it loads then
    outcomes: list[Any] = field(repr=False)  # of each run

    @property
    def outcome(self) -> Any:
        """Of the last run."""
        return self.outcomes[-1]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def work(self) -> float:
        """GB that the work itself took at most."""
        return self.memory - self.loaded

    def record(self) -> dict[str, object]:
        """For JSON, without the outcome."""
        return {
            "name": self.name,
            "seconds": [round(s, 4) for s in self.seconds],
            "memory_gb": round(self.memory, 3),
            "loaded_gb": round(self.loaded, 3),
        }


def compete(contenders: Sequence[Contender], runs: int, *, warm_up: bool = True) -> list[Result]:
    """Let contenders run in turn, one after another, never at the same time.

    Args:
        runs: of each.
        warm_up: each runs once before, which doesn't count.
    """
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    outcomes: dict[str, list[Any]] = {contender.name: [] for contender in contenders}
    memory: dict[str, float] = {}
    with ExitStack() as stack:
        processes = [stack.enter_context(_Process(contender)) for contender in contenders]
        for number in tqdm(range(-warm_up, runs), desc=" | ".join(seconds), leave=False):
            for process in processes:
                took, memory[process.name], outcome = process.run()
                if number >= 0:
                    seconds[process.name].append(took)
                    outcomes[process.name].append(outcome)
    return [
        Result(
            name=process.name,
            seconds=seconds[process.name],
            memory=memory[process.name],
            loaded=process.loaded,
            outcomes=outcomes[process.name],
        )
        for process in processes
    ]


class _Process:
    """A contender's."""

    def __init__(self, contender: Contender) -> None:
        self.name, self.loaded = contender.name, 0.0
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(contender.prepare, theirs), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self.loaded = (
            self._receive()
        )  # it is prepared: only now begins the next, so that nobody prepares while another runs
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def run(self) -> tuple[float, float, Any]:
        self._pipe.send("run")
        return self._receive()

    def _receive(self) -> Any:
        while not self._pipe.poll(1):
            if not self._process.is_alive():
                raise RuntimeError(f"{self.name} ended before its work was done; see its traceback above.")
        return self._pipe.recv()


def _serve(prepare: Callable[[], Work], pipe: Connection) -> None:
    from aftertone_model.progress import hide_library_bars

    hide_library_bars()
    work = prepare()
    pipe.send(_memory("VmRSS"))
    while pipe.recv() == "run":
        work.reset()
        start = time.perf_counter()
        returned = work.run()
        took = time.perf_counter() - start
        memory = _memory("VmHWM")
        pipe.send((took, memory, work.outcome(returned)))


def _memory(kind: str) -> float:
    """GB that this process takes now (VmRSS) or took at most (VmHWM); with a GPU, of the GPU's.

    Not `resource`'s, which counts what the parent held when this process was spawned.
    """
    if torch.cuda.is_available():
        taken = torch.cuda.memory_allocated if kind == "VmRSS" else torch.cuda.max_memory_allocated
        return taken() / 1e9
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 / 1e9 for line in status.splitlines() if line.startswith(kind))
