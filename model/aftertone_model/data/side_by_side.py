"""Computing several clips at once, each on a core of its own: most are too short for one to keep all cores busy."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Apply(Protocol):
    """As `map`: the results in the order of the items."""

    def __call__(self, work: Callable[[Item], Result], items: Sequence[Item], /) -> Iterable[Result]: ...


@contextmanager
def side_by_side(device: torch.device) -> Iterator[Apply]:
    """Work on items on as many threads as torch has, each of which computes on one; on a GPU, or where there are fewer
    items than threads, one item after another."""
    count = torch.get_num_threads()
    if device.type != "cpu" or count == 1:
        yield map
        return
    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as threads:
        try:
            yield lambda work, items: threads.map(work, items) if len(items) >= count else map(work, items)
        finally:
            torch.set_num_threads(count)  # what a thread sets for itself is also what later threads begin with
