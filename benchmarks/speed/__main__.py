"""Aftertone beside stock transformers: scoring, TAPT and fine-tuning, on the same weights, clips and machine.

    python -m benchmarks.speed MANIFEST [--cases scoring tapt finetuning] [--out docs/benchmarks/speed]

Contenders run in turn, each in a process of its own; figures are medians. Writes the page and the figures of each run
(.md and .json), or prints the page. The machine should have nothing else to do.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from aftertone_model.progress import hide_library_bars
from aftertone_model.runtime import device_named
from benchmarks.speed import finetuning, scoring, tapt
from benchmarks.speed.corpus import BASE, MINI, SHAPES, Corpus, read_corpus
from benchmarks.speed.machine import measure_machine
from benchmarks.speed.report import Table

CLIPS = {"scoring": {MINI: 300}, "tapt": {MINI: 150}, "finetuning": {MINI: 150}}
OF_LARGE = 24  # clips of all other models on a CPU
ON_GPU = 600
CASES: dict[str, Callable[[str, Corpus, Path, str, int], Table]] = {
    "scoring": scoring.run,
    "tapt": tapt.run,
    "finetuning": finetuning.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="columns path, emotion, speaker")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--models", nargs="+", choices=[MINI, *SHAPES], default=[MINI, BASE])
    parser.add_argument("--clips", type=int, help="of the corpus; by default as many as take minutes")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="path of the page and its figures, without .md")
    asked = parser.parse_args(arguments)
    hide_library_bars()
    device = device_named(asked.device)
    machine = measure_machine(device)
    command = f"python -m benchmarks.speed {' '.join(_shown(arguments or sys.argv[1:], asked.manifest))}"
    tables = []
    for case in asked.cases:
        for model in asked.models:
            with tempfile.TemporaryDirectory() as name:
                most = ON_GPU if device.type == "cuda" else CLIPS[case].get(model, OF_LARGE)
                clips = asked.clips or most
                corpus = read_corpus(asked.manifest, clips, Path(name) / "pool")
                tables.append(CASES[case](model, corpus, Path(name), device.type, asked.runs))
            print(tables[-1].markdown(), file=sys.stderr, flush=True)
            if asked.out:
                page = _page(command, machine.lines(), tables, asked.runs)
                asked.out.with_suffix(".md").write_text(page, encoding="utf-8")
                found = {"command": command, "machine": machine.record(), "tables": [t.record() for t in tables]}
                asked.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if not asked.out:
        print(_page(command, machine.lines(), tables, asked.runs))
    return 0


def _shown(arguments: Sequence[str], manifest: Path) -> list[str]:
    return ["MANIFEST" if Path(argument) == manifest else argument for argument in arguments]


def _page(command: str, machine: list[str], tables: Sequence[Table], runs: int) -> str:
    head = [
        "# Speed beside stock transformers",
        "",
        f"Written by `{command}`: the same weights, clips and machine; contenders run in turn, each in a process of "
        f"its own; medians of {runs} runs. wav2vec2-base is its shape with random weights.",
        "",
        *machine,
        "",
    ]
    return "\n".join([*head, *(table.markdown() for table in tables)])


if __name__ == "__main__":
    torch.set_num_interop_threads(1)
    sys.exit(main())
