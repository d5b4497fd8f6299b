"""What benchmarks of a model with few labels share: a corpus decoded once, and runs that differ in labels and seed."""

import argparse
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from aftertone_model.progress import hide_library_bars
from aftertone_model.simulate.labelled_corpus import read_labelled
from aftertone_model.simulate.prepared import Prepared, decode, extract

BACKBONE = "aftertone-mini"

Result = TypeVar("Result")
Run = Callable[[Prepared, NDArray[np.int64], int, int], Result]
"""Takes the corpus, rows of it in an order that the seed drew, how many of them are labelled, and the seed."""


@dataclass(frozen=True, kw_only=True)
class Runs(Generic[Result]):
    """What was run, and what came of it."""

    prepared: Prepared
    chosen: NDArray[np.int64]  # rows of the corpus
    found: dict[int, list[Result]]  # number of labels -> of each seed
    seeds: int

    @property
    def machine(self) -> str:
        """What it ran on and with."""
        versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "scikit-learn"))
        return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def play(
    description: str | None,
    run: Run[Result],
    choose: Callable[[NDArray[np.int64], int], NDArray[np.int64]],
    labelled: Sequence[int],
    seeds: int,
) -> Runs[Result]:
    """Read the command line and run for each number of labels and each seed.

    Args:
        choose: takes each row's class and how many rows are wanted; returns rows.
        labelled: numbers of labels where the command line names none; `seeds` likewise.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--folder", type=Path, help="where decoded clips are kept; a temporary folder by default")
    parser.add_argument("--clips", type=int, default=800, help="clips of the corpus that are used")
    parser.add_argument("--labelled", type=int, nargs="+", default=labelled)
    parser.add_argument("--seeds", type=int, default=seeds)
    args = parser.parse_args()
    hide_library_bars()
    with tempfile.TemporaryDirectory() as temporary:
        corpus = read_labelled(args.manifest)
        prepared = decode(corpus, args.folder or Path(temporary), BACKBONE, 2, lambda *_: None)
        chosen = choose(np.array(prepared.labels), args.clips)
        extract(prepared, chosen.tolist(), "cpu")
        found = {
            count: [
                run(prepared, np.random.default_rng(seed).permutation(chosen), count, seed)
                for seed in range(args.seeds)
            ]
            for count in args.labelled
        }
    return Runs(prepared=prepared, chosen=chosen, found=found, seeds=args.seeds)
