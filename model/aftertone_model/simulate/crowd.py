"""Annotators who err: votes drawn from a confusion matrix each, the same for every condition that asks for them."""

import csv
import math
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aftertone_model.errors import SimulationError

Named = tuple[tuple[str, tuple[tuple[str, float], ...]], ...]
"""A confusion matrix by names: true class -> class chosen -> weight."""


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Who votes; without annotators each clip's one vote is the corpus' own label."""

    annotators: int = 0
    rates: tuple[float, ...] = (0.0,)  # how often an annotator errs, evenly among the other classes; taken in turn
    matrices: tuple[Named, ...] = ()  # instead of rates, taken in turn

    def confusions(self, classes: tuple[str, ...]) -> NDArray[np.float64]:
        """(A, C, C) probability of each class chosen (column), given the true one (row).

        Raises:
            SimulationError: a matrix lacks a class.
        """
        found = [_by_rate(self.rates[a % len(self.rates)], len(classes)) for a in range(self.annotators)]
        if self.matrices:
            known = [_by_name(matrix, classes) for matrix in self.matrices]
            found = [known[a % len(known)] for a in range(self.annotators)]
        return np.array(found)


CORPUS_LABELS = Crowd()
"""No annotators: each clip's one vote is the corpus' own label."""


def parse_crowd(annotators: int, confusion: str) -> Crowd:
    """Read `--confusion`: a rate of error (`0.2`), one for each annotator (`0.1,0.3,0.5`), or a CSV file.

    The file's first line is `true` and the classes chosen, and a line follows for each true class; numbers are counts
    or probabilities. A first column `annotator` gives a matrix for each of its values.

    Raises:
        SimulationError: it is none of these.
    """
    if confusion.lower().endswith(".csv"):
        return Crowd(annotators=annotators, matrices=_read(Path(confusion)))
    try:
        rates = tuple(float(part) for part in confusion.split(","))
    except ValueError:
        rates = ()
    if not rates or not all(0 <= rate <= 1 for rate in rates):
        raise SimulationError(f"--confusion {confusion} is no rate from 0 to 1, no list of them, and no .csv file.")
    return Crowd(annotators=annotators, rates=rates)


def turns(clip: str, annotators: int, seed: int) -> NDArray[np.int64]:
    """(A,) in which order annotators come to a clip; the same whoever asks."""
    return np.random.default_rng([seed, _number(clip)]).permutation(annotators)


def draw_vote(clip: str, annotator: int, truth: int, confusions: NDArray[np.float64], seed: int) -> int:
    """What an annotator says about a clip: always the same."""
    rng = np.random.default_rng([seed, _number(clip), annotator + 1])
    return int(rng.choice(confusions.shape[2], p=confusions[annotator, truth]))


def _number(clip: str) -> int:
    return int.from_bytes(sha256(clip.encode()).digest()[:8])


def _by_rate(rate: float, classes: int) -> NDArray[np.float64]:
    matrix = np.full((classes, classes), rate / (classes - 1))
    np.fill_diagonal(matrix, 1 - rate)
    return matrix


def _by_name(matrix: Named, classes: tuple[str, ...]) -> NDArray[np.float64]:
    rows = {true: dict(chosen) for true, chosen in matrix}
    missing = [name for name in classes if sum(rows.get(name, {}).get(other, 0.0) for other in classes) <= 0]
    if missing:
        raise SimulationError(f"The confusion matrix says nothing of {missing[0]}. Give a line for each class.")
    weights = np.array([[rows[true].get(chosen, 0.0) for chosen in classes] for true in classes])
    return weights / weights.sum(axis=1, keepdims=True)


def _read(path: Path) -> tuple[Named, ...]:
    found: dict[str, list[tuple[str, tuple[tuple[str, float], ...]]]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            for row in reader:
                who, true = row.pop("annotator", ""), row.pop("true")
                weights = tuple((name, float(value)) for name, value in row.items())
                if not weights:
                    raise ValueError("no column for a class")
                if not all(math.isfinite(weight) and weight >= 0 for _, weight in weights):
                    raise ValueError(f"line {reader.line_num} has a number that is negative or not finite")
                found.setdefault(who, []).append((true, weights))
    except FileNotFoundError:
        raise SimulationError(f"There is no {path}, which --confusion names.") from None
    except IsADirectoryError:
        raise SimulationError(f"{path}, which --confusion names, is a folder. Name the .csv file.") from None
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise SimulationError(
            f"{path} is no confusion matrix ({error}). Its first line must be `true` and the classes, and a line of "
            "numbers must follow for each class."
        ) from None
    if not found:
        raise SimulationError(f"{path} has no line below its first.")
    return tuple(tuple(rows) for rows in found.values())
