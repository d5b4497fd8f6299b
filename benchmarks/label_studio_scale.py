"""A project of 10,000 tasks on the real Label Studio: what it costs, and what its annotators feel meanwhile.

    python -m benchmarks.label_studio_scale [--tasks 10000] [--annotators 3] [--out PAGE.md]

Starts a Label Studio of its own (SQLite, on this machine), imports half a second of audio per task, each its own, and
connects a real `aftertone serve`. The worker's steps run in this process, with a backbone of 60,000 parameters, so that
what is measured is Label Studio and what goes to and fro. People label from a process of their own all the time: each
asks for the next task, submits a choice and waits a second. Prints, and writes as a page, how long each step takes and
the longest call that somebody had to wait for during it.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import httpx

from aftertone.demo.accounts import invitation, open_account
from aftertone.demo.environment import label_studio_command
from aftertone.demo.processes import AFTERTONE, Processes
from aftertone.demo.project import connect_backend, create_project, label_config, next_task, served_at, submit_choice
from aftertone.demo.server import free_port, start_label_studio
from aftertone.labelstudio.client import LabelStudio

ROOT = Path(__file__).parents[1]
ADMIN = ("admin@example.com", "a-password-for-tests")
LABELS = ("neutral", "happy", "angry", "sad")
SECONDS = 0.5  # of audio in a task
THINKING = 1.0  # seconds that somebody takes for a label
IMPORT_AT_ONCE = 1_000
CALLS_TO_PREDICT = 3
BATCH = 125  # labels that a round asks for; four times as many are published
GOALS = """Goals: nobody waits longer than 2.5 s for the next
task or a submit, and /predict answers for all tasks within 60 s."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """What somebody waited for."""

    kind: str  # next or submit
    began: float  # epoch seconds
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Something that was done while people labelled."""

    name: str
    began: float  # epoch seconds
    ended: float


def label(url: str, tokens: list[str], project: int, file: Path, over: Event) -> None:
    """Be the annotators: in a process of its own, a thread each, until told to stop; each call becomes a line."""
    lines, lock = file.open("a", buffering=1), threading.Lock()

    def timed(kind: str, call: Callable[[], Any]) -> Any:
        began, clock = time.time(), time.perf_counter()
        found = call()
        with lock:
            lines.write(json.dumps([kind, began, time.perf_counter() - clock]) + "\n")
        return found

    def work(token: str) -> None:
        with closing(LabelStudio(url, token, timeout=300)) as session:
            while not over.is_set():
                task = timed("next", lambda: next_task(session, project))
                if task is None:
                    return
                timed("submit", lambda: submit_choice(session, task, LABELS[task % len(LABELS)]))  # noqa: B023
                over.wait(THINKING)

    people = [threading.Thread(target=work, args=(token,)) for token in tokens]
    for person in people:
        person.start()
    for person in people:
        person.join()


@dataclass(kw_only=True)
class Bench:
    """A Label Studio with a project in it, people at work, and what was measured."""

    session: LabelStudio
    project: int
    calls_file: Path
    phases: list[Phase] = field(default_factory=list)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.time()
        yield
        self.phases.append(Phase(name=name, began=began, ended=time.time()))
        print(f"  {name}: {self.phases[-1].ended - began:.1f} s, load {os.getloadavg()[0]:.1f}", flush=True)

    def advance(self) -> None:
        """Do all that a worker would do now; each step is a phase."""
        from aftertone.pipeline import advance
        from aftertone.pipeline.plan import Wait
        from aftertone.settings import load_settings
        from aftertone.store.project import Store
        from aftertone.store.records import Problem

        bench, settings = self, load_settings()

        class Measured(advance.Advance):
            def _do(self, step: Any, *arguments: Any, **named: Any) -> None:
                if isinstance(step, Wait):
                    return super()._do(step, *arguments, **named)
                with bench.phase(type(step).__name__.lower()):
                    return super()._do(step, *arguments, **named)

        Measured(self.project, settings, lambda _: None).run()
        if problem := Store(settings.model_dir).project(self.project).read(Problem):
            raise SystemExit(problem.message)

    def read(self) -> None:
        """Read all tasks and annotations, as the first look does."""
        from aftertone.labelstudio.snapshot import read_snapshot
        from aftertone.labelstudio.tasks import TaskCache

        with self.phase("read every task from Label Studio"):
            read_snapshot(self.session, self.project, TaskCache())

    def predict(self, backend: str, tasks: list[int]) -> list[int]:
        """Ask our own /predict for all tasks at once, as Label Studio does; returns how many results have a label."""
        body = {
            "project": f"{self.project}.0",
            "label_config": self.session.project(self.project)["label_config"],
            "tasks": [{"id": task, "data": {"audio": "x"}, "is_labeled": False} for task in tasks],
        }
        filled = []
        for number in range(1, CALLS_TO_PREDICT + 1):
            with self.phase(f"/predict for {len(tasks):,} tasks, call {number}"):
                answer = httpx.post(f"{backend}/predict", json=body, timeout=600).raise_for_status()
            results = answer.json()["results"]
            filled.append(sum(bool(row["result"]) for row in results))
        return filled

    def retrieve(self, tasks: list[int]) -> None:
        """Label Studio's own action, which asks /predict once and then stores each prediction by itself."""
        with self.phase(f"Label Studio's Retrieve Predictions for {len(tasks):,} tasks"):
            self.session.post(
                "/api/dm/actions", {"selectedItems": {"all": False, "included": tasks}},
                id="retrieve_tasks_predictions", project=self.project,
            )  # fmt: skip

    def calls(self) -> list[Call]:
        rows = [json.loads(line) for line in self.calls_file.read_text().splitlines()]
        return [Call(kind=kind, began=began, seconds=seconds) for kind, began, seconds in rows]


def table(phases: list[Phase], calls: list[Call]) -> str:
    """A row per phase, as text."""
    head = f"{'':<58}{'seconds':>9}{'calls':>7}{'next: median':>14}{'longest':>9}{'submit: median':>16}{'longest':>9}"
    rows = [head]
    for phase in phases:
        row = f"{phase.name:<58}{phase.ended - phase.began:>9.1f}"
        meanwhile = [c for c in calls if c.began < phase.ended and c.began + c.seconds > phase.began]
        row += f"{len(meanwhile):>7}"
        for kind, width in (("next", 14), ("submit", 16)):
            took = [call.seconds for call in meanwhile if call.kind == kind]
            row += f"{statistics.median(took):>{width}.2f}{max(took):>9.2f}" if took else f"{'':>{width + 9}}"
        rows.append(row)
    return "\n".join(rows)


def import_audio(session: LabelStudio, project: int, documents: Path, folder: Path, count: int) -> None:
    """A task per file, each a tone of its own with a little noise."""
    from tests.integration.server import tone, wav

    rows = []
    for number in range(count):
        path = folder / f"{number:05d}.wav"
        path.write_bytes(wav(tone(number, SECONDS)))
        rows.append({"audio": served_at(documents, path)})
    for start in range(0, count, IMPORT_AT_ONCE):
        session.post(f"/api/projects/{project}/import", rows[start : start + IMPORT_AT_ONCE])


def run(arguments: argparse.Namespace, folder: Path, processes: Processes) -> tuple[Bench, list[int]]:
    from tests import backbones

    command = label_studio_command(ROOT / ".demo" / "label-studio-env")
    email, password = ADMIN
    server = start_label_studio(
        processes, command, folder, port=free_port(), email=email, password=password, secret_key="0" * 50
    )
    token = open_account(server.url, email, password).token
    session = LabelStudio(server.url, token, timeout=600)
    people = [
        open_account(server.url, f"annotator-{number}@example.com", password, invitation=invitation(session)).token
        for number in range(arguments.annotators)
    ]
    audio = server.documents / "audio"
    audio.mkdir()
    project = create_project(session, title="Scale", config=label_config(), audio=audio)
    bench = Bench(session=session, project=project, calls_file=folder / "calls.jsonl")
    bench.calls_file.touch()
    with bench.phase(f"import {arguments.tasks:,} tasks"):
        import_audio(session, project, server.documents, audio, arguments.tasks)
    os.environ.update(
        LABEL_STUDIO_URL=server.url, LABEL_STUDIO_API_KEY=token, MODEL_DIR=str(folder / "model"),
        BACKBONE=str(backbones.nano(folder / "nano")), LABEL_STUDIO_TIMEOUT="600",
        SETTLE_SECONDS="0", SEED_SIZE=str(BATCH), BATCH_SIZE=str(BATCH),
        SERVE_PREDICTIONS="true", TAPT='{"max_steps": 20}', DEVICE="cpu", PORT=str(free_port()),
    )  # fmt: skip
    backend = processes.start("aftertone serve", [*AFTERTONE, "serve"], dict(os.environ))
    url = f"http://127.0.0.1:{os.environ['PORT']}"
    backend.wait_until_up(url, 300)
    connect_backend(session, project, url=url)
    context = multiprocessing.get_context("spawn")
    over = context.Event()
    annotators = context.Process(target=label, args=(server.url, people, project, bench.calls_file, over))
    annotators.start()
    try:
        while not bench.calls():
            time.sleep(0.1)
        with bench.phase("nothing but people at work"):
            time.sleep(arguments.idle)
        bench.read()
        bench.advance()
        time.sleep(arguments.idle)
        bench.advance()
        tasks = sorted(task["id"] for task in session.tasks(project, fields="task_only"))
        filled = bench.predict(url, tasks)
        bench.retrieve(tasks[: arguments.retrieve])
    finally:
        over.set()
        annotators.join(timeout=60)
        annotators.terminate()
    return bench, filled


def page(arguments: argparse.Namespace, text: str) -> str:
    return f"""# A large project on the real Label Studio

Printed by `python -m benchmarks.label_studio_scale`: {arguments.tasks:,} tasks of half a second of audio each, in Label
Studio with SQLite, and {arguments.annotators} people who label all the time, a second of thought between two tasks.
Each row is one thing that was done, how long it took, and what these people waited for meanwhile. `ingest` is fetching
all audio through Label Studio and decoding it; each `publish` puts {4 * BATCH} tasks into the queue. {GOALS}

Label Studio's own *Retrieve Predictions* asks /predict once for all selected tasks and then stores the answers one by
one; that is Label Studio's part of the time.

```
{text}
```
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--annotators", type=int, default=3)
    parser.add_argument("--idle", type=float, default=30.0, help="seconds of labelling before and between the looks")
    parser.add_argument("--retrieve", type=int, default=1_000, help="tasks whose predictions Label Studio retrieves")
    parser.add_argument("--out", type=Path, help="page to write")
    arguments = parser.parse_args()
    packages = ", ".join(f"{name} {version(name)}" for name in ("aftertone", "label-studio-sdk", "torch", "starlette"))
    lines = [
        f"Python {platform.python_version()}, {packages}, {platform.machine()}, {os.cpu_count()} cores, niceness "
        f"{os.nice(0)}; load {os.getloadavg()[0]:.1f} at the start"
    ]
    print(lines[0], flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        processes = Processes(Path(scratch))
        try:
            bench, filled = run(arguments, Path(scratch), processes)
            release = bench.session.get("/api/version")["release"]
            calls = bench.calls()
            bench.session.close()
        finally:
            processes.end()
    lines += [
        f"Label Studio {release}, SQLite; load {os.getloadavg()[0]:.1f} at the end",
        "",
        table(bench.phases, calls),
        "",
        f"/predict gave {filled[-1]:,} of {arguments.tasks:,} tasks a label; the others weren't known to the round.",
        f"{len(calls):,} calls by people in all, the longest {max(call.seconds for call in calls):.2f} s.",
    ]
    print("\n".join(lines[1:]))
    if arguments.out is not None:
        arguments.out.write_text(page(arguments, "\n".join(lines)))


if __name__ == "__main__":
    main()
