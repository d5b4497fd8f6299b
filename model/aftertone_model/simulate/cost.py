"""What a simulation is asked for, and what it will take, before anything runs. Needs neither torch nor its seconds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile

from aftertone_model.acquisition import STRATEGIES
from aftertone_model.acquisition.inputs import Requires
from aftertone_model.config import TAPT_PROFILES, Tuning
from aftertone_model.data.manifest import Row
from aftertone_model.errors import DeviceError, SimulationError
from aftertone_model.simulate.grid import ALL, ALLOCATED, Cell, Grid, config_of, label_counts
from aftertone_model.simulate.labelled_corpus import LabelledCorpus, read_labelled
from aftertone_model.simulate.prevalence import check_names, check_pools, check_prevalence

SAMPLE = 50  # files whose length is read where the manifest has no column duration_s
# Seconds of audio per second on one core, with aftertone-mini; ten or more times less for wav2vec2-base.
DECODED = 200.0
EXTRACTED = 150.0
ADAPTED = 130.0
TUNED = 130.0
SURPRISED = 35.0
PROBED = 1.0  # seconds for a round that trains a linear head alone
CROSS_FITTED = 4  # trainings in a round where votes are allocated
# Bytes per second of audio, and per clip and backbone.
PCM, FRAMES = 32_000, 12_800
LAYER_MEANS, ADAPTED_BACKBONE = 31_000, 28_000_000


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """The settings of one simulation."""

    manifest: Path
    out: Path
    grid: Grid
    backbone: str
    classes: tuple[str, ...] = ()
    leave_out: str = ""  # a column of the manifest whose values are left out in turn
    jobs: int = 1
    device: str = "cpu"
    command: str = ""  # for the report

    def on(self, corpus: LabelledCorpus) -> "Simulation":
        """The same with as many folds as the corpus has values to leave out, each of which is tested on."""
        if not corpus.left_out:
            return self
        return replace(self, grid=replace(self.grid, folds=len(corpus.left_out), every_fold=True))


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """A rough estimate of time and disk, which tells minutes from days."""

    cells: int
    clips: int
    hours_of_audio: float
    seconds: float  # wall clock of all cells, on `jobs` processes
    disk: float  # bytes

    def __str__(self) -> str:
        return (
            f"{self.cells:,} cells; {self.clips:,} clips, {self.hours_of_audio:.1f} h of audio; about "
            f"{clock(self.seconds)} from scratch on a machine like the one measured; {self.disk / 1e9:.1f} GB on disk."
        )


def clock(seconds: float) -> str:
    """A duration for people: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def check(simulation: Simulation) -> tuple[LabelledCorpus, CostEstimate]:
    """Read the corpus, and say what the simulation will take. Starts nothing.

    Raises:
        ManifestError: the message names the rows to correct.
        SimulationError: there is no such device, a prevalence or a confusion matrix doesn't fit the corpus, or what
            draws the report's figures isn't installed.
    """
    if find_spec("matplotlib") is None:
        raise SimulationError("The report's figures need matplotlib: `pip install aftertone[simulate]`.")
    _check_device(simulation.device)
    corpus = read_labelled(simulation.manifest, simulation.classes, simulation.leave_out)
    simulation = simulation.on(corpus)
    check_prevalence(simulation.grid.prevalence, corpus.classes)
    check_names(simulation.grid.rare, corpus.classes)
    simulation.grid.crowd.confusions(corpus.classes)  # a matrix without a class is found out now
    tested = corpus.folds(simulation.grid.folds)  # fails now rather than after an hour of decoding
    rows = np.arange(len(corpus.rows))
    pools = {cell.fold: np.delete(rows, tested[cell.fold]) for cell in simulation.grid.cells()}
    check_pools(corpus.labels, pools, corpus.classes, simulation.grid.prevalence)
    return corpus, estimate(corpus, simulation.grid, simulation.jobs)


def _check_device(name: str) -> None:
    """Raises SimulationError where torch has no such device."""
    if name == "cpu":
        return
    from aftertone_model.runtime import device_named  # torch takes seconds: only those wait who name another device

    try:
        device = device_named(name)
    except DeviceError:
        raise SimulationError(f"--device {name}: torch finds no such GPU on this machine. Take cpu.") from None
    except RuntimeError:
        raise SimulationError(f"--device {name}: there is no such device. Take cpu or cuda.") from None
    if device.type not in ("cpu", "cuda"):
        raise SimulationError(f"--device {name}: Aftertone doesn't compute there. Take cpu or cuda.")


def estimate(corpus: LabelledCorpus, grid: Grid, jobs: int) -> CostEstimate:
    """Of a grid on a corpus, from the manifest alone."""
    audio, cells = _audio_seconds(corpus.rows), grid.cells()
    adapted = {(cell.preset, cell.fold) for cell in cells if cell.tapt}
    passes = sum((config_of(preset).tapt or TAPT_PROFILES["brief"]).passes for preset, _ in adapted)
    seconds = audio / DECODED + audio / EXTRACTED + audio * passes / ADAPTED
    seconds += sum(cell_seconds(cell, grid, len(corpus.rows), audio) for cell in cells)
    backbones = 1 + (grid.folds if True in grid.tapt else 0)
    return CostEstimate(
        cells=len(cells),
        clips=len(corpus.rows),
        hours_of_audio=audio / 3600,
        seconds=seconds / jobs,
        disk=audio * (PCM + FRAMES) + backbones * (len(corpus.rows) * LAYER_MEANS + ADAPTED_BACKBONE),
    )


def cell_seconds(cell: Cell, grid: Grid, clips: int, audio: float) -> float:
    """One cell on one core."""
    config, each = config_of(cell.preset), audio / clips
    pool = clips * (1 - 1 / grid.folds)
    seconds = 0.0
    for labels in label_counts(grid.shares_of(cell), round(pool)):
        if config.tuning_for(labels) is Tuning.PROBE:
            seconds += PROBED * (CROSS_FITTED if cell.voting == ALLOCATED else 1)
        else:
            epochs = max(config.epochs, config.updates * config.batch_seconds / (labels * each))
            epochs = min(epochs, 2 * config.patience) if config.patience else epochs
            seconds += epochs * labels * each / TUNED + pool * each / EXTRACTED
    if cell.strategy != ALL and Requires.SURPRISAL in STRATEGIES[cell.strategy].requires:
        seconds += pool * each / SURPRISED
    return seconds


def _audio_seconds(rows: Sequence[Row]) -> float:
    """Of all clips: what the manifest says, or what a sample of the files says."""
    told = [row.seconds for row in rows if row.seconds]
    if len(told) < len(rows) / 2:
        told = [seconds for row in rows[:: max(1, len(rows) // SAMPLE)] if (seconds := _length(row)) is not None]
    return statistics.fmean(told or [3.0]) * len(rows)


def _length(row: Row) -> float | None:
    try:
        return soundfile.info(row.path).duration
    except soundfile.LibsndfileError:
        return None
