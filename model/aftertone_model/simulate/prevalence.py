"""How common each class is in the pool, where that is to differ from the corpus: real pools are mostly neutral."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aftertone_model.errors import SimulationError

FEWEST = 10  # clips of a thinned pool that labels can be chosen from
FOUND = 20  # clips of each rare class that a project wants before it trusts what it learned of it
RARE = 0.5  # a class is rare below this part of an even share

Prevalence = tuple[tuple[str, float], ...]
"""Classes with their shares of the pool, in [0, 1]; the other classes share what is left as they do in the corpus."""


def parse_prevalence(text: str) -> Prevalence:
    """Read `neutral=80,angry=10`, in percent.

    Raises:
        SimulationError: it is no such list, names a class twice, or asks for more than 100 % in all.
    """
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, percent = part.partition("=")
        if name.strip() in found:
            raise SimulationError(f"--prevalence names {name.strip()} twice. Give each class one percentage.")
        try:
            found[name.strip()] = float(percent) / 100
        except ValueError:
            raise SimulationError(f"{part} is no prevalence. Write class=percent, such as neutral=80.") from None
    if any(not 0 <= share <= 1 for share in found.values()) or sum(found.values()) > 1 + 1e-9:
        raise SimulationError("Prevalences are percentages from 0 to 100, and at most 100 in all.")
    return tuple(sorted(found.items()))


def check_prevalence(prevalence: Prevalence, classes: Sequence[str]) -> None:
    """Raises SimulationError where it names classes that the corpus lacks, or leaves none for the others."""
    check_names([name for name, _ in prevalence], classes)
    if prevalence and len(prevalence) == len(classes) and abs(sum(dict(prevalence).values()) - 1) > 1e-6:
        raise SimulationError("The prevalences of all classes must be 100 % in all; leave one out to have it the rest.")


def check_names(names: Sequence[str], classes: Sequence[str]) -> None:
    """Raises SimulationError where one isn't among the classes."""
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise SimulationError(f"The corpus has no class {unknown[0]}. It has: {', '.join(classes)}.")


def check_pools(
    labels: NDArray[np.integer], pools: Mapping[int, NDArray[np.intp]], classes: Sequence[str], prevalence: Prevalence
) -> None:
    """Whether every fold's training clips can be thinned to a prevalence.

    Args:
        labels: (N,) class of each clip.
        pools: fold -> rows of its training clips.

    Raises:
        SimulationError: one has no clip of a class that is wanted, or too few; the message names class and fold.
    """
    for fold, rows in pools.items() if prevalence else ():
        counts = np.bincount(labels[rows], minlength=len(classes))
        shares = _shares(counts, classes, prevalence)
        if shares.sum() < 1 - 1e-6:
            named = ", ".join(name for name, _ in prevalence)
            raise SimulationError(
                f"--prevalence leaves {1 - shares.sum():.0%} of the pool to classes other than {named}, of which the "
                f"training clips of fold {fold} have none. Ask for another prevalence, or for other folds."
            )
        wanted = np.flatnonzero(shares > 0)
        scarce = wanted[(counts[wanted] / shares[wanted]).argmin()]
        size = len(thinned(labels[rows], classes, prevalence, np.random.default_rng(0)))
        if counts[scarce] == 0 or size < FEWEST:
            raise SimulationError(
                f"--prevalence makes {classes[scarce]} {shares[scarce]:.0%} of the pool, but the training clips of "
                f"fold {fold} have {counts[scarce]} of it: the pool would have {size} clips, fewer than {FEWEST}. Ask "
                "for another prevalence, or for other folds."
            )


def thinned(
    labels: NDArray[np.integer], classes: Sequence[str], prevalence: Prevalence, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Rows (M,), ascending, of the largest random part of a pool in which the classes have these shares.

    Args:
        labels: (N,) class of each clip.
    """
    if not prevalence:
        return np.arange(len(labels))
    counts = np.bincount(labels, minlength=len(classes))
    shares = _shares(counts, classes, prevalence)
    wanted = shares > 0
    total = float((counts[wanted] / shares[wanted]).min())
    rows = [rng.permutation(np.flatnonzero(labels == c))[: int(total * share + 1e-9)] for c, share in enumerate(shares)]
    return np.sort(np.concatenate(rows))


def rare_classes(labels: NDArray[np.integer], classes: Sequence[str], named: Sequence[str] = ()) -> list[int]:
    """The classes that are hard to find: those named, or those with less than half of an even share of the pool."""
    if named:
        return [classes.index(name) for name in named]
    counts = np.bincount(labels, minlength=len(classes))
    return [c for c, count in enumerate(counts) if 0 < count < RARE * len(labels) / len(classes)]


def labels_until_found(revealed: Sequence[int], rare: Sequence[int], pool: Mapping[int, int]) -> int | None:
    """Labels until FOUND clips of each rare class, or all that there are, were among them; None: not yet.

    Args:
        revealed: true class of each label, in the order in which they were asked for.
        pool: class -> clips in the whole pool.
    """
    missing = {c: min(FOUND, pool.get(c, 0)) for c in rare}
    for number, c in enumerate(revealed, start=1):
        if c in missing:
            missing[c] -= 1
            if all(count <= 0 for count in missing.values()):
                return number
    return None


def _shares(counts: NDArray[np.integer], classes: Sequence[str], prevalence: Prevalence) -> NDArray[np.float64]:
    told = dict(prevalence)
    others = np.array([0 if name in told else count for name, count in zip(classes, counts, strict=True)], float)
    left = 1 - sum(told.values())
    spread = others / others.sum() * left if others.any() else others
    return np.array([told.get(name, share) for name, share in zip(classes, spread, strict=True)])
