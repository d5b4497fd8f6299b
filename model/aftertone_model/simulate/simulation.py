"""A whole simulation: what cells share is computed once, the cells run in parallel, then come tables and figures."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from aftertone_model.pretraining.record import read_adaptation
from aftertone_model.progress import Progress, silent
from aftertone_model.simulate.cell_run import read_cell, run_and_keep
from aftertone_model.simulate.cost import Simulation, cell_seconds
from aftertone_model.simulate.grid import Cell, config_of
from aftertone_model.simulate.labelled_corpus import LabelledCorpus
from aftertone_model.simulate.prepared import Prepared, adapt, decode, extract
from aftertone_model.simulate.processes import Processes
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
    simulation, began = simulation.on(corpus), time.monotonic()
    grid = simulation.grid
    prepared = decode(corpus, simulation.out, simulation.backbone, grid.folds, progress, grid.prevalence)
    for line in prepared.refused:
        say(f"Left out: {line}")
    files = {cell: _file(simulation, prepared, cell) for cell in grid.cells()}
    todo = [cell for cell in files if not files[cell].is_file()]
    if todo:
        _run(simulation, prepared, corpus, todo, files, progress)
    results = [
        Result(cell=cell, measured=measured) for cell, file in files.items() for measured in read_cell(file) or ()
    ]
    others = set((simulation.out / "cells").glob("*.json")) - set(files.values())
    if others:
        say(
            f"{simulation.out} also holds {len(others)} cells of other settings; they stay, but the report is of the "
            f"{len(files)} cells of this command alone."
        )
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
    executor = Processes(simulation.jobs)
    try:
        parts = [range(start, len(prepared.clips), simulation.jobs * PARTS) for start in range(simulation.jobs * PARTS)]
        follow("features", {executor.submit(extract, prepared, part, device): len(part) for part in parts}, progress)

        def start(cell: Cell) -> dict[Future[Any], int]:
            future = executor.submit(run_and_keep, prepared, simulation.grid, cell, files[cell], device)
            return {future: round(cell_seconds(cell, simulation.grid, len(corpus.rows), audio))}

        waiting: dict[Path, list[Cell]] = {}  # cells by the adaptation that they need and that isn't there yet
        ready: list[Cell] = []
        for cell in todo:
            folder = prepared.adapted(cell.fold, cell.seed, config_of(cell.preset))
            if cell.tapt and (folder in waiting or read_adaptation(folder) is None):
                waiting.setdefault(folder, []).append(cell)
            else:
                ready.append(cell)
        tasks: dict[Future[Any], int] = {}
        for cell in ready:
            tasks |= start(cell)
        adaptations = {executor.submit(adapt, prepared, cells[0], device): cells for cells in waiting.values()}

        def follow_up(done: Future[Any]) -> dict[Future[Any], int]:
            """The cells that an adaptation was for."""
            found: dict[Future[Any], int] = {}
            for cell in adaptations.get(done, ()):
                found |= start(cell)
            return found

        follow("cells", tasks | dict.fromkeys(adaptations, 1), progress, follow_up)
    finally:
        executor.end()


def follow(
    stage: str,
    tasks: Mapping[Future[Any], int],
    progress: Progress,
    follow_up: Callable[[Future[Any]], Mapping[Future[Any], int]] = lambda _: {},
) -> None:
    """Wait for the tasks, each with a weight, and show how far they have come; the first that fails ends all.

    Args:
        follow_up: tasks that may begin once a task has ended.
    """
    weights = dict(tasks)
    waiting, done = set(weights), 0
    while waiting:
        progress(stage, done, sum(weights.values()))
        ended, waiting = wait(waiting, timeout=5, return_when=FIRST_COMPLETED)
        for future in ended:
            future.result()
            done += weights[future]
            more = follow_up(future)
            weights |= more
            waiting |= more.keys()


def _file(simulation: Simulation, prepared: Prepared, cell: Cell) -> Path:
    """Where a cell's figures are kept; another place once anything changes that they depend on."""
    key = simulation.grid.key(cell, prepared.corpus_key, prepared.backbone_key)
    return simulation.out / "cells" / f"{cell.name}-{key}.json"
