"""A whole simulation: what cells share is computed once, then the cells in parallel, then tables and figures."""

import multiprocessing
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

from aftertone_model.pretraining.record import read_adaptation
from aftertone_model.progress import Progress, silent
from aftertone_model.simulate.cell_run import read_cell, run_and_keep
from aftertone_model.simulate.cost import Simulation, cell_seconds
from aftertone_model.simulate.grid import Cell, config_of
from aftertone_model.simulate.labelled_corpus import LabelledCorpus
from aftertone_model.simulate.prepared import Prepared, adapt, decode, extract, one_thread
from aftertone_model.simulate.report import write_report
from aftertone_model.simulate.results import Result, write_csv

PARTS = 4  # tasks per process that features are computed in


def simulate(
    simulation: Simulation, corpus: LabelledCorpus, say: Callable[[str], None], progress: Progress = silent
) -> Path:
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
    prepared = decode(corpus, simulation.out, simulation.backbone, grid.folds, progress)
    for line in prepared.refused:
        say(f"Left out: {line}")
    files = {cell: _file(simulation, prepared, cell) for cell in grid.cells()}
    todo = [cell for cell in files if not files[cell].is_file()]
    if todo:
        _run(simulation, prepared, corpus, todo, files, progress)
    results = [
        Result(cell=cell, measured=measured) for cell, file in files.items() for measured in read_cell(file) or ()
    ]
    write_csv(results, simulation.out)
    return write_report(simulation.out, results, grid, prepared, simulation.command, time.monotonic() - began)


def _run(
    simulation: Simulation,
    prepared: Prepared,
    corpus: LabelledCorpus,
    todo: list[Cell],
    files: dict[Cell, Path],
    progress: Progress,
) -> None:
    device, audio = simulation.device, sum(clip.seconds for clip in prepared.clips)
    processes = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(simulation.jobs, mp_context=processes, initializer=one_thread)
    try:
        parts = [range(start, len(prepared.clips), simulation.jobs * PARTS) for start in range(simulation.jobs * PARTS)]
        _follow("features", [(executor.submit(extract, prepared, part, device), len(part)) for part in parts], progress)
        wanted = {prepared.adapted(cell.fold, config_of(cell.preset)): cell for cell in todo if cell.tapt}
        missing = [wanted[folder] for folder in sorted(wanted) if read_adaptation(folder) is None]
        adaptations = [(executor.submit(adapt, prepared, cell.fold, cell.preset, device), 1) for cell in missing]
        _follow("adapt", adaptations, progress)
        cells = [
            (
                executor.submit(run_and_keep, prepared, simulation.grid, cell, files[cell], device),
                round(cell_seconds(cell, simulation.grid, len(corpus.rows), audio)),
            )
            for cell in todo
        ]
        _follow("cells", cells, progress)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _follow(stage: str, tasks: Iterable[tuple[Future, int]], progress: Progress) -> None:
    """Wait for the tasks, each with a weight, and show how far they have come; the first that fails ends all."""
    weights = dict(tasks)
    waiting, done, total = set(weights), 0, sum(weights.values())
    while waiting:
        progress(stage, done, total)
        ended, waiting = wait(waiting, timeout=5, return_when=FIRST_COMPLETED)
        for future in ended:
            future.result()
            done += weights[future]


def _file(simulation: Simulation, prepared: Prepared, cell: Cell) -> Path:
    """Where a cell's figures are kept; another place once anything changes that they depend on."""
    key = simulation.grid.key(cell, prepared.corpus_key, prepared.backbone_key)
    return simulation.out / "cells" / f"{cell.name}-{key}.json"
