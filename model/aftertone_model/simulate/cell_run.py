"""One cell: a project from its seed set to its last label, and how good its models are on speakers left out."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aftertone_model.classification.model import EmotionModel
from aftertone_model.data.clips import Clip
from aftertone_model.data.files import read_json, write_json
from aftertone_model.learner import Learner
from aftertone_model.pretraining.record import read_adaptation
from aftertone_model.simulate.grid import ALL, Cell, Grid, Initialisation, label_counts
from aftertone_model.simulate.prepared import Prepared


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How good a model is on the speakers left out, trained on one share of the labels."""

    share: float  # of the pool's labels
    labels: int
    tuning: str  # which weights were trained
    ua: float
    wa: float
    macro_f1: float
    ece: float
    tapt_seconds: float  # wall clock; 0 without TAPT
    train_seconds: float  # of all rounds so far
    rank_seconds: float  # the same, seed set included


def run_cell(prepared: Prepared, grid: Grid, cell: Cell, device: str) -> list[Measured]:
    """Play the cell. Deterministic but for the seconds."""
    learner = prepared.learner(cell, device)
    training_clips, tested = prepared.sides(cell.fold)
    hidden = prepared.one_hot()
    adaptation = read_adaptation(prepared.adapted(cell.fold, learner.config)) if cell.tapt else None
    shares = grid.shares_of(cell)
    wanted = dict(zip(label_counts(shares, len(training_clips)), shares, strict=True))
    counts = [len(training_clips)] if cell.strategy == ALL else _rounds(sorted(wanted), len(training_clips), grid.batch)
    train_seconds = rank_seconds = 0.0
    labelled: list[str] = []
    previous: EmotionModel | None = None
    measured: list[Measured] = []
    for count in counts:
        began = time.monotonic()
        labels = {id: hidden[id] for id in labelled}
        labelled += _next(learner, cell, training_clips, labels, count - len(labelled), previous)
        rank_seconds += time.monotonic() - began
        began = time.monotonic()
        training = learner.train({id: hidden[id] for id in labelled}, {}, [*training_clips, *tested], previous)
        train_seconds += time.monotonic() - began
        previous = training.model
        if count in wanted:
            truth = np.array([hidden[clip.id] for clip in tested])
            metrics = prepared.schema.measure(truth, learner.predict(previous, tested))
            measured.append(
                Measured(
                    share=wanted[count],
                    labels=count,
                    tuning=training.tuned.tuning.value,
                    ua=metrics.ua.value,
                    wa=metrics.wa.value,
                    macro_f1=metrics.macro_f1.value,
                    ece=metrics.ece,
                    tapt_seconds=adaptation.seconds if adaptation else 0.0,
                    train_seconds=train_seconds,
                    rank_seconds=rank_seconds,
                )
            )
    return measured


def run_and_keep(prepared: Prepared, grid: Grid, cell: Cell, file: Path, device: str) -> None:
    """Run the cell and write what it found as `file`, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    found = [asdict(measured) for measured in run_cell(prepared, grid, cell, device)]
    write_json(file, {"cell": asdict(cell), "measured": found})


def read_cell(file: Path) -> list[Measured] | None:
    """What `run_and_keep` wrote; None where it hasn't."""
    kept = read_json(file)
    return None if kept is None else [Measured(**record) for record in kept["measured"]]


def _rounds(wanted: list[int], pool: int, batch: int | None) -> list[int]:
    """Labels at each round: the seed set, 1 % of the pool, and then a batch more each time, never past a wanted one."""
    counts = [min(max(1, round(0.01 * pool)), wanted[0])]
    while counts[-1] < wanted[-1]:
        goal = next(count for count in wanted if count > counts[-1])
        counts.append(goal if batch is None else min(goal, counts[-1] + batch))
    return counts


def _next(
    learner: Learner,
    cell: Cell,
    training_clips: list[Clip],
    labels: Mapping[str, NDArray[np.floating]],
    k: int,
    classifier: EmotionModel | None,
) -> list[str]:
    """Ids of the k clips to reveal next."""
    if classifier is not None:
        return list(learner.rank(classifier, training_clips, k, labels, cell.strategy).picks)
    if cell.strategy == ALL:
        return [clip.id for clip in training_clips]
    if cell.initialisation == Initialisation.CLUSTERED:
        return list(learner.seed(training_clips, k).picks)
    ids = sorted(clip.id for clip in training_clips)
    return [ids[row] for row in np.random.default_rng(cell.seed).permutation(len(ids))[:k]]
