"""`aftertone simulate --method supervised-contrastive`: cells in parallel, each kept once done, then the tables."""

from collections.abc import Callable

from aftertone_model.data.files import write_text
from aftertone_model.progress import Progress, silent
from aftertone_model.simulate.cross_corpus import (
    PairCell,
    contrastive_config,
    key,
    parse_pairs,
    read_pair,
    run_pair,
    tables,
)
from aftertone_model.simulate.labelled_corpus import read_labelled
from aftertone_model.simulate.prepared import decode, extract
from aftertone_model.simulate.processes import Processes
from aftertone_model.simulate.report import told_of
from aftertone_model.simulate.simulation import PARTS, follow
from aftertone_model.simulate.study import Study


def play_pairs(study: Study, say: Callable[[str], None], progress: Progress = silent) -> str:
    """Play every cell that hasn't been, and write tables.md; returns its text.

    Raises:
        ManifestError, SimulationError: the corpus or a setting doesn't fit.
    """
    config = contrastive_config(study.preset)
    corpus = read_labelled(study.manifest, study.classes)
    pairs = parse_pairs(study.pairs, sorted({row.attributes.get("corpus", "") for row in corpus.rows} - {""}))
    prepared = decode(corpus, study.out, study.backbone, study.folds, progress)
    for line in prepared.refused:
        say(f"Left out: {line}")
    cells = [
        PairCell(first=first, second=second, fold=fold, seed=seed)
        for seed in range(study.seeds)
        for fold in range(study.folds)
        for first, second in pairs
    ]
    files = {cell: study.out / "cells" / f"{cell.name}-{key(prepared, cell, config)}.json" for cell in cells}
    todo = [cell for cell in cells if not files[cell].is_file()]
    executor = Processes(study.jobs)
    try:
        parts = [range(start, len(prepared.clips), study.jobs * PARTS) for start in range(study.jobs * PARTS)]
        if todo:
            follow(
                "features",
                {executor.submit(extract, prepared, part, study.device): len(part) for part in parts},
                progress,
            )
        follow(
            "cells",
            {executor.submit(run_pair, prepared, cell, config, files[cell], study.device): 1 for cell in todo},
            progress,
        )
    finally:
        executor.end()
    results = {cell: figures for cell, file in files.items() if (figures := read_pair(file)) is not None}
    facts = told_of(prepared, study.command)
    text = "\n".join([*(table.markdown() for table in tables(results)), "### What was run", ""])
    text += "\n".join(f"- {name}: {value}" for name, value in facts) + "\n"
    write_text(study.out / "tables.md", text)
    return text
