"""The page and its figures: a table for each case and model, each of which can be measured anew alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import Machine
from benchmarks.speed.contest import Result

HEAD = """# Speed beside stock transformers

Written by `python -m benchmarks.speed`: the same clips, machine and, of models, weights; contenders run in turn, each
in a process of its own; figures are medians. wav2vec2-base is its shape with random weights. Titles name the processor
and the widest instructions that it has for products, as one name stands for several processors. Load beyond 1 means
that something else ran as well, which costs both sides time.

Where the processor multiplies bfloat16, Aftertone trains and scores in it; transformers runs in float32, its default,
but where a row says bfloat16. In TAPT both learn at the same rate; in fine-tuning Aftertone at its default and the
Trainer at 1e-4.
"""


@dataclass(frozen=True, kw_only=True)
class Table:
    """What came of a case."""

    title: str
    about: str
    columns: Sequence[str]
    rows: Mapping[str, Sequence[str]]
    results: Sequence[Result]

    def record(self, command: str, machine: Machine) -> dict[str, Any]:
        """For JSON."""
        return {
            "about": self.about,
            "command": command,
            "machine": machine.record(),
            "rows": {name: dict(zip(self.columns, cells, strict=True)) for name, cells in self.rows.items()},
            "runs": [result.record() for result in self.results],
        }


def write(out: Path, found: Mapping[str, dict[str, Any]]) -> None:
    """Write tables by title into `out`.json, beside those of earlier runs, and the page of all as `out`.md."""
    path = out.with_suffix(".json")
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    tables = {**known, **found}
    path.write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(page(tables), encoding="utf-8")


def page(tables: Mapping[str, dict[str, Any]]) -> str:
    """Markdown of the tables by title, in alphabetical order."""
    parts, machine = [HEAD], ""
    for title, table in sorted(tables.items()):
        parts.append(f"## {title}\n\n{table['about']}\n")
        if (lines := "\n".join(Machine(**table["machine"]).lines())) != machine:
            parts.append(f"{lines}\n")
            machine = lines
        columns = list(next(iter(table["rows"].values())))
        head = f"| | {' | '.join(columns)} |\n| --- |{' --: |' * len(columns)}\n"
        rows = (f"| {name} | {' | '.join(cells.values())} |\n" for name, cells in table["rows"].items())
        parts.append(f"{head}{''.join(rows)}\n`{table['command']}`\n")
    return "\n".join(parts)


def ratio(peer: Result, ours: Result) -> str:
    """How many times as fast as the peer."""
    return f"{peer.median / ours.median:.2f}"
