"""One cell: a project from its seed set to its last label, and how good its models are on speakers left out."""

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np

from aftertone_model.classification.model import EmotionModel
from aftertone_model.data.files import read_json, write_json
from aftertone_model.pretraining.record import read_adaptation
from aftertone_model.simulate.differences import Confusions, confusions_by_speaker
from aftertone_model.simulate.grid import ALL, Cell, Grid, label_counts
from aftertone_model.simulate.play import Play
from aftertone_model.simulate.prepared import Prepared
from aftertone_model.simulate.prevalence import labels_until_found, rare_classes


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How good a model is on the speakers left out, trained on one share of the labels."""

    share: float  # of the pool's clips: votes that were asked for
    labels: int  # clips with a vote
    tuning: str  # which weights were trained
    ua: float
    wa: float
    macro_f1: float
    ece: float
    tapt_seconds: float  # wall clock; 0 without TAPT
    train_seconds: float  # of all rounds so far; without the plain classifier where a clip head judges
    rank_seconds: float  # the same, seed set included
    votes: int | None = None  # given so far; as many as labels where the corpus' own labels are revealed
    rare_found: int | None = None  # labelled clips whose true class is rare; None where no class is
    rare_per_100: float | None = None  # the same for every 100 labels
    rare_recall: float | None = None  # the same as a share of all rare clips in the pool
    labels_until_found: int | None = None  # labels until 20 clips of each rare class were found; None: not yet
    confusions: Confusions = field(
        default_factory=dict[str, list[list[int]]]
    )  # speaker left out -> counts, row per true class


def run_cell(prepared: Prepared, grid: Grid, cell: Cell, device: str) -> list[Measured]:
    """Play the cell. Deterministic but for the seconds."""
    learner = prepared.learner(cell, device)
    training_clips, tested = prepared.sides(cell.fold, cell.seed)
    hidden = prepared.one_hot()
    config = learner.config
    adaptation = read_adaptation(prepared.adapted(cell.fold, cell.seed, config)) if cell.tapt else None
    shares = grid.shares_of(cell)
    wanted = dict(zip(label_counts(shares, len(training_clips)), shares, strict=True))
    counts = [len(training_clips)] if cell.strategy == ALL else _rounds(sorted(wanted), len(training_clips), grid.batch)
    play = Play(learner, cell, grid.crowd, training_clips, tested, hidden)
    truth = np.array([hidden[clip.id].argmax() for clip in tested])
    pool = np.array([hidden[clip.id].argmax() for clip in training_clips])
    rare = rare_classes(pool, prepared.classes, grid.rare)
    train_seconds = rank_seconds = 0.0
    previous: EmotionModel | None = None
    measured: list[Measured] = []
    for count in counts:
        began = time.monotonic()
        play.spend(count, previous)
        rank_seconds += time.monotonic() - began
        began = time.monotonic()
        labels = play.labels
        previous = learner.judge(labels, [*training_clips, *tested], previous)
        train_seconds += time.monotonic() - began
        if count in wanted:
            probabilities = learner.predict(previous, tested)
            metrics = prepared.schema.measure(np.eye(len(prepared.classes))[truth], probabilities)
            measured.append(
                Measured(
                    share=wanted[count],
                    labels=len(play.labelled),
                    tuning=config.tuning_for(len(labels)).value,
                    ua=metrics.ua.value,
                    wa=metrics.wa.value,
                    macro_f1=metrics.macro_f1.value,
                    ece=metrics.ece,
                    tapt_seconds=adaptation.seconds if adaptation else 0.0,
                    train_seconds=train_seconds,
                    rank_seconds=rank_seconds,
                    votes=play.votes,
                    **_rare_figures(play.revealed, rare, Counter(pool.tolist())),
                    confusions=confusions_by_speaker(
                        truth, probabilities.argmax(axis=1), [clip.speaker or "" for clip in tested], prepared.classes
                    ),
                )
            )
    return measured


class RareFigures(TypedDict, total=False):
    """What was found of the rare classes; see `Measured`."""

    rare_found: int
    rare_per_100: float
    rare_recall: float
    labels_until_found: int | None


def _rare_figures(revealed: list[int], rare: list[int], pool: Counter[int]) -> RareFigures:
    if not rare:
        return {}
    found = sum(c in rare for c in revealed)
    return {
        "rare_found": found,
        "rare_per_100": 100 * found / len(revealed),
        "rare_recall": found / max(1, sum(pool[c] for c in rare)),
        "labels_until_found": labels_until_found(revealed, rare, pool),
    }


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
    """Votes at each round: the seed set, 1 % of the pool, and then a batch more each time, never past a wanted one."""
    counts = [min(max(1, round(0.01 * pool)), wanted[0])]
    while counts[-1] < wanted[-1]:
        goal = next(count for count in wanted if count > counts[-1])
        counts.append(goal if batch is None else min(goal, counts[-1] + batch))
    return counts
