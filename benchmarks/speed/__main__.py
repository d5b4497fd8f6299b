"""Aftertone beside what people would use instead: import, scoring, TAPT and fine-tuning, on the same clips and machine.

    python -m benchmarks.speed MANIFEST [--cases import scoring tapt finetuning] [--out docs/benchmarks/speed]

Contenders run in turn, each in a process of its own; figures are medians. Prints the page; with --out also writes it
(.md) and the figures of each run (.json), beside those of other cases and processors. The machine should have nothing
else to do.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from aftertone_model.data.manifest import read_manifest
from aftertone_model.progress import hide_library_bars
from aftertone_model.runtime import device_named
from benchmarks.machine import measure_machine
from benchmarks.speed import finetuning, importing, scoring, tapt
from benchmarks.speed.corpus import BASE, MINI, SHAPES, Corpus, read_corpus
from benchmarks.speed.report import Table, page, write

CLIPS = {"scoring": {MINI: 300}, "tapt": {MINI: 150, BASE: 72}, "finetuning": {MINI: 150}}
OF_LARGE = 24  # clips of all other models on a CPU
ON_GPU = 600
IMPORTED = 600  # files
IMPORT = "import"
CASES: dict[str, Callable[[str, Corpus, Path, str, int], Table]] = {
    "scoring": scoring.run,
    "tapt": tapt.run,
    "finetuning": finetuning.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="columns path, emotion, speaker")
    cases = [IMPORT, *CASES]
    parser.add_argument("--cases", nargs="+", choices=cases, default=cases)
    parser.add_argument("--models", nargs="+", choices=[MINI, *SHAPES], default=[MINI, BASE])
    parser.add_argument("--clips", type=int, help="of the corpus; by default as many as take minutes")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="path of the page and its figures, without .md")
    asked = parser.parse_args(arguments)
    hide_library_bars()
    device = device_named(asked.device)
    machine = measure_machine(device)
    command = f"python -m benchmarks.speed {' '.join(_shown(arguments or sys.argv[1:], asked))}"
    tables: dict[str, dict[str, Any]] = {}
    for case in asked.cases:
        for model in [""] if case == IMPORT else asked.models:
            with tempfile.TemporaryDirectory() as name:
                if case == IMPORT:
                    files = [row.path for row in read_manifest(asked.manifest)[: asked.clips or IMPORTED]]
                    table = importing.run(files, Path(name), asked.runs)
                else:
                    most = ON_GPU if device.type == "cuda" else CLIPS[case].get(model, OF_LARGE)
                    corpus = read_corpus(asked.manifest, asked.clips or most, Path(name) / "pool")
                    table = CASES[case](model, corpus, Path(name), device.type, asked.runs)
            tables[f"{table.title}, on {machine.processor}"] = table.record(command, machine)
            if asked.out:
                write(asked.out, tables)
    print(page(tables))
    return 0


def _shown(arguments: Sequence[str], asked: argparse.Namespace) -> list[str]:
    names = {str(asked.manifest): "MANIFEST", str(asked.out): "docs/benchmarks/speed"}
    return [names.get(argument, argument) for argument in arguments]


if __name__ == "__main__":
    torch.set_num_interop_threads(1)
    sys.exit(main())
