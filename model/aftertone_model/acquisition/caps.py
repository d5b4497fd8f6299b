"""No batch made of one recording or one speaker: an order in which each batch takes a few clips of any group."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

Group = tuple[str, str]  # what kind of group, and its name


def capped(
    order: Sequence[str], groups: Callable[[str], Iterable[Group]], most: Callable[[Group], int], size: int
) -> list[str]:
    """The order with each run of `size` clips holding so many of a group at most, as far as other clips last.

    Clips that a batch has no room for lead the next one, so nothing is lost and the order is kept otherwise.

    Args:
        order: clip ids, ask-first first.
        groups: that a clip belongs to.
        most: clips of a group in a batch, >= 1.
        size: clips in a batch, >= 1.
    """
    found: list[str] = []
    rest = list(order)
    while rest:
        counts: Counter[Group] = Counter()
        taken: list[str] = []
        left: list[str] = []
        for place, id in enumerate(rest):
            if len(taken) == size:
                left += rest[place:]
                break
            of = list(groups(id))
            if any(counts[group] >= most(group) for group in of):
                left.append(id)
            else:
                taken.append(id)
                counts.update(of)
        found += taken
        rest = left
    return found
