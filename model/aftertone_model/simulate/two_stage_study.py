"""`aftertone simulate --method two-stage-adapters`: trainings in parallel, each kept once done, then the tables."""

import csv
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftertone_model.data.files import write_text
from aftertone_model.errors import SimulationError
from aftertone_model.progress import Progress, silent
from aftertone_model.simulate.cost import clock
from aftertone_model.simulate.disjoint_folds import GROUPS, SENTENCE, Sides, sentence_of, sides
from aftertone_model.simulate.labelled_corpus import read_labelled
from aftertone_model.simulate.method_presets import method_config
from aftertone_model.simulate.prepared import Prepared, decode
from aftertone_model.simulate.processes import Processes
from aftertone_model.simulate.report import told_of
from aftertone_model.simulate.simulation import PARTS, follow
from aftertone_model.simulate.study import Study
from aftertone_model.simulate.two_stage import (
    ADAPTERS,
    STAGE_1,
    MethodCell,
    extract_frames,
    key,
    learnable,
    read_cell,
    run_cell,
    settings,
)
from aftertone_model.simulate.two_stage_tables import Results, tables
from aftertone_model.two_stage_adapters.config import TwoStageConfig
from aftertone_model.two_stage_adapters.transcripts import TRANSCRIPT

ATTRIBUTES = ("gender", "style")  # that the paper learns beside emotion
TRAINED = 80.0  # seconds of audio per second on one core, with aftertone-mini, in either tuning and both stages


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The trainings of a study, and what is known before the first."""

    prepared: Prepared
    configs: dict[str, TwoStageConfig]  # by setting
    cells: tuple[MethodCell, ...]
    folds: tuple[Sides, ...]
    told: tuple[str, ...]  # what is left out, and why

    def seconds(self, jobs: int) -> float:
        """A rough estimate of the wall clock, which tells minutes from days."""
        total = 0.0
        for cell in self.cells:
            config = self.configs[cell.setting]
            audio = sum(clip.seconds for clip in self.folds[cell.fold].learning)
            if cell.setting in (STAGE_1, ADAPTERS):
                total += audio * config.transcripts.epochs / TRAINED
            if cell.setting != STAGE_1:
                total += audio * config.attributes.epochs / TRAINED
        return total / jobs


def plan(study: Study, progress: Progress = silent) -> Plan:
    """Read and decode the corpus, and say what is to be trained. Trains nothing.

    Raises:
        ManifestError, SimulationError: the corpus or a setting doesn't fit.
    """
    config = method_config(study.preset, TwoStageConfig())
    corpus = read_labelled(study.manifest, study.classes, columns=_columns(study.manifest))
    prepared = decode(corpus, study.out, study.backbone, study.folds, progress)
    if not any(clip.attributes.get(TRANSCRIPT) for clip in prepared.clips):
        raise SimulationError(
            f"two-stage-adapters learns transcripts, and {study.manifest} has none. Give it a column {TRANSCRIPT}."
        )
    known = learnable(prepared.clips, ATTRIBUTES)
    used = tuple(name for name, varies in known.items() if varies)
    if not used:
        raise SimulationError(
            f"two-stage-adapters learns gender or style beside emotion, and {study.manifest} has no corpus with two "
            "values of either. Give it a column gender or style."
        )
    told = [
        f"{name} isn't learned: in no corpus it has two values, so it would tell the corpus"
        for name, varies in known.items()
        if not varies
    ]
    told += [
        f"{name} isn't learned: the manifest has no such column, or it is empty"
        for name in ATTRIBUTES
        if name not in known
    ]
    configs = settings(config, used)
    return Plan(
        prepared=prepared,
        configs=configs,
        cells=tuple(
            MethodCell(setting=setting, fold=fold, seed=seed)
            for seed in range(study.seeds)
            for fold in range(study.folds)
            for setting in configs
        ),
        folds=tuple(sides(prepared, fold) for fold in range(study.folds)),
        told=(*prepared.refused, *told),
    )


def play_two_stages(study: Study, say: Callable[[str], None], progress: Progress = silent) -> str:
    """Train every cell that hasn't been, and write tables.md; returns its text.

    Raises:
        ManifestError, SimulationError: the corpus or a setting doesn't fit.
    """
    planned = plan(study, progress)
    for line in planned.told:
        say(f"Left out: {line}")
    files = {cell: _file(study, planned, cell) for cell in planned.cells}
    todo = [cell for cell in planned.cells if not files[cell].is_file()]
    if todo:
        _run(study, planned, todo, files, progress)
    results = {cell: figures for cell, file in files.items() if (figures := read_cell(file)) is not None}
    facts = [*told_of(planned.prepared, study.command), *_facts(study, planned, results)]
    text = "\n".join([*(table.markdown() for table in tables(results)), "### What was run", ""])
    text += "\n".join(f"- {name}: {value}" for name, value in facts) + "\n"
    write_text(study.out / "tables.md", text)
    return text


def _run(
    study: Study, planned: Plan, todo: Sequence[MethodCell], files: dict[MethodCell, Path], progress: Progress
) -> None:
    prepared, device = planned.prepared, study.device
    executor = Processes(study.jobs)
    try:
        parts = [range(start, len(prepared.clips), study.jobs * PARTS) for start in range(study.jobs * PARTS)]
        follow(
            "features",
            {executor.submit(extract_frames, prepared, part, device): len(part) for part in parts},
            progress,
        )

        def start(cell: MethodCell) -> Future[Any]:
            config = planned.configs[cell.setting]
            return executor.submit(run_cell, prepared, cell, config, files[cell], _first(study, planned, cell), device)

        waiting: dict[MethodCell, list[MethodCell]] = {}  # by the stage 1 that they go on from and that isn't there yet
        ready: list[MethodCell] = []
        for cell in todo:
            if cell.setting in (STAGE_1, ADAPTERS) or _first(study, planned, cell).is_dir():
                ready.append(cell)
            else:
                waiting.setdefault(cell.first, []).append(cell)
        ready += [cell for cell in waiting if cell not in ready]  # its figures are there, but its model was removed
        ready.sort(key=lambda cell: cell not in waiting)
        tasks = {start(cell): cell for cell in ready}

        def follow_up(done: Future[Any]) -> dict[Future[Any], int]:
            """What goes on from a stage 1."""
            ended = tasks.get(done)
            return {start(cell): 1 for cell in waiting.get(ended, ())} if ended else {}

        follow("cells", dict.fromkeys(tasks, 1), progress, follow_up)
    finally:
        executor.end()


def _file(study: Study, planned: Plan, cell: MethodCell) -> Path:
    """Where a cell's figures are kept; another place once anything changes that they depend on."""
    return study.out / "cells" / f"{cell.name}-{key(planned.prepared, cell, planned.configs[cell.setting])}.json"


def _first(study: Study, planned: Plan, cell: MethodCell) -> Path:
    """Where the stage 1 that a cell goes on from keeps its model."""
    named = key(planned.prepared, cell.first, planned.configs[STAGE_1])
    return study.out / "stage-1" / f"{cell.first.name}-{named}"


def _columns(manifest: Path) -> list[str]:
    """Those among the columns of a manifest that the method reads; what is wrong with it is said by who reads it."""
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            there = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
    return [name for name in (TRANSCRIPT, SENTENCE, *ATTRIBUTES) if name in there]


def _facts(study: Study, planned: Plan, results: Results) -> list[tuple[str, str]]:
    learning, tested = ([len(getattr(fold, side)) for fold in planned.folds] for side in ("learning", "tested"))
    sentences = {sentence_of(clip) for clip in planned.prepared.clips} - {""}
    first = [figures.transcripts for cell, figures in sorted(results.items()) if cell.setting == STAGE_1]
    told = [
        f"{counts['learned']} learned, {counts['missing']} missing, {counts['crowded']} with more characters than "
        f"frames, {counts['cropped']} of clips that are cut"
        for counts in first
    ]
    return [
        ("Hyper-parameters", study.preset),
        (
            "Folds",
            f"{study.folds}; each leaves out one of {study.folds} groups of speakers and one of {GROUPS} groups of "
            f"{len(sentences)} sentences; {_range(learning)} clips to learn from, {_range(tested)} to test on",
        ),
        ("Not learned", "; ".join(planned.told) or "nothing"),
        ("Transcripts by fold", "; ".join(told)),
        ("Cells", f"{len(results)}, {clock(sum(figures.seconds for figures in results.values()))} in all"),
    ]


def _range(counts: Sequence[int]) -> str:
    return f"{min(counts)} to {max(counts)}"
