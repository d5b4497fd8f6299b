"""A whole simulation: what cells share is computed once, then the cells side by side, then tables and figures."""

import multiprocessing
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

from backend.bars import Bars
from backend.simulate.cell import read_cell, run_and_keep
from backend.simulate.corpus import LabelledCorpus
from backend.simulate.grid import Cell
from backend.simulate.plan import Simulation, cell_seconds
from backend.simulate.report import write_report
from backend.simulate.results import Result, write_csv
from backend.simulate.world import World, adapt, decode, extract, one_thread
from model.adaptation import read_adaptation

PARTS = 4  # tasks per process that features are computed in


def simulate(simulation: Simulation, corpus: LabelledCorpus, say: Callable[[str], None]) -> Path:
    """Run every cell that hasn't been, and write results.csv, times.csv, figures and report.html.

    Each cell is kept when it is done, so a run that was killed goes on where it was when it is started again.

    Args:
        corpus: as `check` read it.
        say: told about files that are left out.

    Returns:
        The report.

    Raises:
        ManifestError: too few of the corpus' files can be decoded.
    """
    grid, began = simulation.grid, time.monotonic()
    bars = Bars()
    world = decode(corpus, simulation.out, simulation.backbone, grid.folds, bars)
    for line in world.refused:
        say(f"Left out: {line}")
    files = {cell: _file(simulation, world, cell) for cell in grid.cells()}
    todo = [cell for cell in files if not files[cell].is_file()]
    if todo:
        _run(simulation, world, corpus, todo, files, bars)
    bars.close()
    results = [
        Result(cell=cell, examined=examined) for cell, file in files.items() for examined in read_cell(file) or ()
    ]
    write_csv(results, simulation.out)
    return write_report(simulation.out, results, grid, world, simulation.command, time.monotonic() - began)


def _run(
    simulation: Simulation,
    world: World,
    corpus: LabelledCorpus,
    todo: list[Cell],
    files: dict[Cell, Path],
    bars: Bars,
) -> None:
    device, audio = simulation.device, sum(clip.seconds for clip in world.clips)
    processes = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(simulation.jobs, mp_context=processes, initializer=one_thread)
    try:
        parts = [range(start, len(world.clips), simulation.jobs * PARTS) for start in range(simulation.jobs * PARTS)]
        _follow("features", [(executor.submit(extract, world, part, device), len(part)) for part in parts], bars)
        folds = sorted({cell.fold for cell in todo if cell.tapt and read_adaptation(world.adapted(cell.fold)) is None})
        _follow("adapt", [(executor.submit(adapt, world, fold, device), 1) for fold in folds], bars)
        cells = [
            (
                executor.submit(run_and_keep, world, simulation.grid, cell, files[cell], device),
                round(cell_seconds(cell, simulation.grid, len(corpus.rows), audio)),
            )
            for cell in todo
        ]
        _follow("cells", cells, bars)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _follow(stage: str, tasks: Iterable[tuple[Future, int]], bars: Bars) -> None:
    """Wait for the tasks, each with a weight, and show how far they have come; the first that fails ends all."""
    weights = dict(tasks)
    waiting, done, total = set(weights), 0, sum(weights.values())
    while waiting:
        bars(stage, done, total)
        ended, waiting = wait(waiting, timeout=5, return_when=FIRST_COMPLETED)
        for future in ended:
            future.result()
            done += weights[future]


def _file(simulation: Simulation, world: World, cell: Cell) -> Path:
    """Where a cell's figures are kept; another place once anything changes that they depend on."""
    key = simulation.grid.key(cell, world.corpus_key, world.backbone_key)
    return simulation.out / "cells" / f"{cell.name}-{key}.json"
