"""Whether `aftertone predictions` says of every clip what /predict and the status page say of it.

    python -m benchmarks.predictions manifest.csv > docs/benchmarks/predictions.md

Plays a project with all clips of a labelled corpus to its first trained round and runs the real command for CSV, JSON
Lines and Parquet. Then asks the server: /predict as Label Studio does, the status document, and the pages that show
clips. Exits with 1 where a clip is missing or there twice, or where two of them say different things.
"""

import argparse
import csv
import html
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from starlette.testclient import TestClient

from aftertone.server.app import create_app
from aftertone_model.data.manifest import read_manifest
from aftertone_model.progress import hide_library_bars
from benchmarks.played_corpus import play
from tests.unit.aftertone.loops import MemoryLoop
from tests.unit.aftertone.records import FakeJobs

EVERY = 10  # a label for one of so many clips
FORMATS = ("csv", "jsonl", "parquet")
OPENED = 100  # tasks that are asked about one by one, as when somebody opens them
LETTERS = 1e-9  # by which two ways of writing the same six digits may differ
BROWSER = {"Accept": "text/html"}

T = TypeVar("T")
Row = dict[str, Any]
"""A line of the table, by column."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What one place says, beside the table."""

    where: str
    clips: int  # that were compared
    differ: int  # of these
    apart: float | None  # largest difference of a probability; None where none is shown
    allowed: float = LETTERS  # half of the last digit that is shown there

    @property
    def agrees(self) -> bool:
        """Whether anything was compared, and nothing differs."""
        return self.clips > 0 and self.differ == 0 and (self.apart or 0.0) <= self.allowed


def main() -> int:
    """Play, write, ask, compare, and print the page; 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="columns path, emotion, speaker")
    parser.add_argument("--clips", type=int, help="the first so many; all by default")
    asked = parser.parse_args()
    hide_library_bars()
    rows = [row for row in read_manifest(asked.manifest) if row.emotion and row.speaker][: asked.clips]
    with tempfile.TemporaryDirectory() as folder:
        loop, played = _timed(partial(play, rows, Path(folder), every=EVERY))
        tables = {kind: Path(folder) / f"emotions.{kind}" for kind in FORMATS}
        seconds = {kind: _timed(partial(write, loop, path))[1] for kind, path in tables.items()}
        found, asking = _timed(partial(compared, loop, tables))
        _print(loop, found, {"play": played, **seconds, "ask and compare": asking})
    return 0 if all(one.agrees for one in found) else 1


def write(loop: MemoryLoop, path: Path) -> None:
    """Have the command write, run as a person runs it."""
    environment = {**os.environ, "MODEL_DIR": str(loop.settings.model_dir), "DEVICE": "cpu"}
    command = [sys.executable, "-m", "aftertone", "predictions", "1", "--out", str(path)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def compared(loop: MemoryLoop, tables: dict[str, Path]) -> list[Compared]:
    """Everything that says something about clips, beside the table in JSON Lines."""
    rows = [json.loads(line) for line in tables["jsonl"].read_text(encoding="utf-8").splitlines()]
    shows_all = loop.settings.model_copy(update={"serve_predictions": True})
    opener, asker = (
        TestClient(create_app(settings, FakeJobs()), base_url="http://localhost", client=("127.0.0.1", 50_000))
        for settings in (loop.settings, shows_all)
    )
    return [
        _once(loop, rows),
        *_formats(tables, rows),
        *_predict(asker, opener, loop, rows),
        *_status(opener, rows),
        *_pages(opener, rows),
        _button(opener, tables["csv"], rows),
    ]


def _once(loop: MemoryLoop, rows: list[Row]) -> Compared:
    """Every task of Label Studio and every clip of the pool exactly once."""
    tasks = Counter(int(task) for row in rows for task in row["tasks"].split())
    clips = Counter(row["clip"] for row in rows)
    all_tasks = tasks.keys() | {task["id"] for task in loop.label_studio.state["tasks"]}
    all_clips = clips.keys() | set(loop.store.pool.clip_ids())
    wrong = sum(tasks[task] != 1 for task in all_tasks) + sum(clips[clip] != 1 for clip in all_clips)
    return Compared(where="every task and every clip once", clips=len(rows), differ=wrong, apart=None)


# -- the three formats ---------------------------------------------------------------------------------------------


def _formats(tables: dict[str, Path], rows: list[Row]) -> Iterator[Compared]:
    with tables["csv"].open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    differ = _unlike(lines, [{name: _as_text(value) for name, value in row.items()} for row in rows])
    yield Compared(where="CSV, to JSON Lines", clips=len(lines), differ=differ, apart=None)
    frame = pd.read_parquet(tables["parquet"]).astype(object)
    lines = frame.where(frame.notna(), None).to_dict("records")
    yield Compared(where="Parquet, to JSON Lines", clips=len(lines), differ=_unlike(lines, rows), apart=None)


def _as_text(value: Any) -> str:
    """A value as CSV has it, with the apostrophe before what a spreadsheet might run."""
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(("=", "+", "-", "@")) else text


def _unlike(lines: list[Any], rows: list[Any]) -> int:
    return sum(a != b for a, b in zip(lines, rows, strict=False)) + abs(len(lines) - len(rows))


# -- /predict ------------------------------------------------------------------------------------------------------


def _predict(asker: TestClient, opener: TestClient, loop: MemoryLoop, rows: list[Row]) -> Iterator[Compared]:
    """For all tasks in one call, as Retrieve Predictions sends them, and one by one, as when somebody opens them."""
    tasks = loop.label_studio.state["tasks"]
    answers = dict(zip([task["id"] for task in tasks], _ask(asker, loop, tasks), strict=True))
    yield _answers("/predict, all tasks in one call", answers, rows)
    few = tasks[:: max(1, len(tasks) // OPENED)]
    yield _answers("/predict, a task at a time", {task["id"]: _ask(asker, loop, [task])[0] for task in few}, rows)
    shown = dict(zip([task["id"] for task in tasks], _ask(opener, loop, tasks), strict=True))
    labelled = {task["id"] for task in tasks if task["annotations"]}
    yield _answers("/predict without SERVE_PREDICTIONS, labelled tasks", {task: shown[task] for task in labelled}, rows)
    hidden = [shown[task["id"]] for task in tasks if task["id"] not in labelled]
    yield Compared(
        where="/predict without SERVE_PREDICTIONS, other tasks: no answer", clips=len(hidden),
        differ=sum(bool(answer["result"]) for answer in hidden), apart=None,
    )  # fmt: skip


def _ask(client: TestClient, loop: MemoryLoop, tasks: list[Any]) -> list[Any]:
    """The answers to a request in Label Studio's form."""
    project = loop.label_studio.state["project"]
    body = {
        "tasks": [{**task, "project": 1, "is_labeled": bool(task["annotations"]), "predictions": []} for task in tasks],
        "project": "1.1795222710",
        "label_config": project["label_config"],
        "params": {"login": None, "password": None, "context": None},
    }
    return client.post("/predict", json=body).raise_for_status().json()["results"]


def _answers(where: str, answers: dict[int, Any], rows: list[Row]) -> Compared:
    said = {
        task: (", ".join(name for item in answer["result"] for name in item["value"]["choices"]), answer["score"])
        for task, answer in answers.items()
    }
    return _said(where, said, rows, LETTERS)


# -- the status document and its page ------------------------------------------------------------------------------


def _status(client: TestClient, rows: list[Row]) -> Iterator[Compared]:
    (project,) = client.get("/status").raise_for_status().json()["projects"]
    said = {one["task"]: (one["prediction"], one["confidence"]) for one in project["next_clips"]}
    yield _said("status document: clips that are asked for next", said, rows, LETTERS)
    counts, splits = project["counts"], Counter(row["split"] for row in rows)
    ours = (splits["train"], splits["test"], splits["skipped"], splits["unlabelled"])
    theirs = (counts["labelled"], counts["tested"], counts["skipped"], counts["unlabelled"] + counts["untested"])
    yield Compared(
        where="status document: clips of each split", clips=len(rows),
        differ=sum(abs(a - b) for a, b in zip(ours, theirs, strict=True)), apart=None,
    )  # fmt: skip
    bins = len(project["histogram"])
    sure = Counter(min(bins - 1, int(row["confidence"] * bins)) for row in rows if row["split"] == "unlabelled")
    yield Compared(
        where="status document: how sure the model is of unlabelled clips", clips=sum(project["histogram"]),
        differ=sum(abs(count - sure[place]) for place, count in enumerate(project["histogram"])), apart=None,
    )  # fmt: skip


LISTED = re.compile(
    r'class="number">(?P<task>\d+)</th>(?:(?!</tr>).)*?'
    r'<td>(?P<said>[^<]+?) <span class="quiet">(?P<sure>\d+)%</span></td>',
    re.DOTALL,
)
"""A clip in a table of the page."""

LIKELY = re.compile(LISTED.pattern + r'<td class="number">(?P<likely>[\d.]+)</td>', re.DOTALL)
"""A clip that search by class found, with the probability of that class."""

DOT = re.compile(r'data-said="task (?P<task>\d+), (?P<state>\w+): (?P<name>[^"]+)"')
"""A clip on the map."""


def _pages(client: TestClient, rows: list[Row]) -> Iterator[Compared]:
    def get(path: str) -> str:
        return client.get(path, headers=BROWSER).raise_for_status().text

    page = get("/projects/1")
    yield _said("page: clips that are asked for next", _listed(page), rows, 0.5e-2)
    names = [name.removeprefix("p_") for name in rows[0] if name.startswith("p_")]
    found = {name: get(f"/projects/1/search?class={name}") for name in names}
    yield _said(
        "page: search by class, what the model says",
        {task: one for text in found.values() for task, one in _listed(text).items()}, rows, 0.5e-2,
    )  # fmt: skip
    by_task = _by_task(rows)
    apart = [
        abs(float(one["likely"]) - by_task[int(one["task"])][f"p_{name}"])
        for name, text in found.items()
        for one in LIKELY.finditer(text)
    ]
    yield Compared(
        where="page: search by class, probability of that class", clips=len(apart), differ=0, apart=max(apart),
        allowed=0.5e-2 + LETTERS,
    )  # fmt: skip
    example = next(iter(_listed(page)))
    alike = get(f"/projects/1/search?clip={by_task[example]['clip']}")
    yield _said("page: search by example", _listed(alike), rows, 0.5e-2)
    dots = [
        (int(one["task"]), one["state"], html.unescape(one["name"])) for one in DOT.finditer(get("/projects/1/map"))
    ]
    told = [
        by_task[task]["label" if by_task[task]["split"] in ("train", "test") else "prediction"] for task, *_ in dots
    ]
    yield Compared(
        where="page: map, the class of each dot", clips=len(dots),
        differ=sum(name != one for (*_, name), one in zip(dots, told, strict=True)), apart=None,
    )  # fmt: skip


def _listed(page: str) -> dict[int, tuple[str, float]]:
    return {int(one["task"]): (html.unescape(one["said"]), int(one["sure"]) / 100) for one in LISTED.finditer(page)}


def _button(client: TestClient, table: Path, rows: list[Row]) -> Compared:
    """The page's table, which a process of its own writes."""
    told = client.get("/projects/1/predictions.csv").raise_for_status().content
    differ = _unlike(told.splitlines(), table.read_bytes().splitlines())
    return Compared(where="page: CSV of its button, to CSV", clips=len(rows), differ=differ, apart=None)


# -- comparing -----------------------------------------------------------------------------------------------------


def _said(where: str, said: dict[int, tuple[str, float]], rows: list[Row], allowed: float) -> Compared:
    """Task -> answer and its probability, beside the table."""
    by_task = _by_task(rows)
    apart = [abs(sure - by_task[task]["confidence"]) for task, (_, sure) in said.items()]
    return Compared(
        where=where, clips=len(said), differ=sum(one != by_task[task]["prediction"] for task, (one, _) in said.items()),
        apart=max(apart, default=None), allowed=allowed + LETTERS,
    )  # fmt: skip


def _by_task(rows: list[Row]) -> dict[int, Row]:
    return {int(task): row for row in rows for task in row["tasks"].split()}


def _timed(do: Callable[[], T]) -> tuple[T, float]:
    """What it returns, and seconds that it took."""
    began = time.perf_counter()
    return do(), time.perf_counter() - began


def _print(loop: MemoryLoop, found: list[Compared], seconds: dict[str, float]) -> None:
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "pandas", "pyarrow", "starlette"))
    record = loop.last
    print(
        f"# Does the table of predictions say what is served?\n\nPrinted by `python -m benchmarks.predictions "
        f"MANIFEST`.\n\nA project of {len(loop.label_studio.state['tasks'])} clips, played to its first trained round: "
        f"aftertone-mini, 4 steps of TAPT, {record.labels} labels, {len(record.tested)} of them for testing. "
        "`aftertone predictions` wrote the table; the server was asked over HTTP, as Label Studio and a browser ask. "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}.\n\n"
        f"{sum(one.agrees for one in found)} of {len(found)} agree. A probability may differ by half of the last digit "
        "that is shown.\n\n| beside the table | clips | differ | largest difference of a probability | allowed |\n"
        "| --- | --- | --- | --- | --- |"
    )
    for one in found:
        numbers = ("", "") if one.apart is None else (f"{one.apart:.6f}", f"{one.allowed:.6f}")
        print(f"| {one.where} | {one.clips} | {one.differ} | {numbers[0]} | {numbers[1]} |")
    took = ", ".join(f"{name} {wall:.0f}" for name, wall in seconds.items())
    print(f"\nSeconds, with other processes at work: {took}.")


if __name__ == "__main__":
    sys.exit(main())
