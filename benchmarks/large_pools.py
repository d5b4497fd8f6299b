"""What a pool of many thousand tasks costs: from the first look to a published seed set, and every look after it.

    python -m benchmarks.large_pools --tasks 20000 [--backbone FOLDER]

A fake Label Studio in a process of its own holds the tasks, imported at 5,000 a second, and serves short tones; it
answers faster than the real one, so that what is measured is Aftertone. As under `aftertone worker`, each job is a
process forked from one that has imported the worker. Prints, for each look and step, the seconds that passed, the CPU
seconds of the job, the peak memory so far of its process, and what was asked of Label Studio; medians of --repeat jobs
where a job can be repeated.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

RATE = 5_000  # tasks a second, of the bulk import
CLASSES = ("neutral", "happy")  # that people answer


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one thing that was done."""

    wall: float  # s
    cpu: float  # s, of this process
    memory: float  # MB, the peak so far of this process


def measured(what: Callable[[], object]) -> Cost:
    began, cpu = time.perf_counter(), time.process_time()
    what()
    return Cost(wall=time.perf_counter() - began, cpu=time.process_time() - cpu, memory=_peak())


def forked(what: Callable[[Callable[[str, Cost], None]], object]) -> tuple[Cost, list[tuple[str, Cost]]]:
    """Run `what` in a child, which may report the cost of its parts; the cost of the whole child, and those."""
    out, into = os.pipe()
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(out)
            with os.fdopen(into, "w") as pipe:
                what(lambda name, cost: print(name, cost.wall, cost.cpu, cost.memory, sep="\t", file=pipe, flush=True))
            code = 0
        finally:
            os._exit(code)
    os.close(into)
    with os.fdopen(out) as pipe:
        parts = [line.rstrip("\n").split("\t") for line in pipe]
    _, status, used = os.wait4(child, 0)
    if status:
        sys.exit("A job failed; its log is above.")
    cost = Cost(wall=time.perf_counter() - began, cpu=used.ru_utime + used.ru_stime, memory=used.ru_maxrss / 1000)
    return cost, [(name, Cost(wall=float(a), cpu=float(b), memory=float(c))) for name, a, b, c in parts]


def advance(settings: Mapping[str, Any]) -> Callable[[Callable[[str, Cost], None]], None]:
    """A job for project 1 that reports its steps."""

    def job(report: Callable[[str, Cost], None]) -> None:
        from aftertone.pipeline.advance import Advance
        from aftertone.settings import Settings
        from aftertone.store.project import Store
        from aftertone.store.records import Problem

        class Measured(Advance):
            def _do(self, step: Any, *arguments: Any, **named: Any) -> None:
                report(type(step).__name__, measured(lambda: super(Measured, self)._do(step, *arguments, **named)))

        Measured(1, Settings(**settings), lambda _seconds: None).run()
        if problem := Store(settings["model_dir"]).project(1).read(Problem):
            raise SystemExit(problem.message)

    return job


class Bench:
    """One pool and its figures."""

    def __init__(self, url: str, settings: Mapping[str, Any], repeat: int) -> None:
        self._url, self._settings, self._repeat = url, settings, repeat

    def people(self, *calls: list[Any]) -> None:
        httpx.post(f"{self._url}/people", json=calls, timeout=600).raise_for_status()

    def jobs(self, name: str, times: int = 0, *before: list[Any], **settings: Any) -> None:
        """Run jobs and print their median, and the steps of the last one; `before` each, people do something."""
        costs, parts, asked = [], [], {}
        for _ in range(times or self._repeat):
            self.people(*before)
            self._asked()
            cost, parts = forked(advance({**self._settings, **settings}))
            asked = self._asked()
            costs.append(cost)
        row(name, costs, f"{sum(asked['requests'].values())} requests, {sum(asked['rows'].values())} rows")
        for step, cost in parts:
            row(f"  of it {step}", [cost])

    def batch(self) -> None:
        """From the last label of the published batch to the next batch."""
        from aftertone.store.project import Store

        project = Store(self._settings["model_dir"]).project(1)
        published = project.rounds()[-1]
        tasks = published.published[: published.batch]
        labels = [["annotate", [task, CLASSES[task % len(CLASSES)]]] for task in tasks]
        self.jobs(f"after {len(labels)} labels, until a new batch", 1, *labels, settle_seconds=0.0)
        if project.rounds()[-1].number == published.number:
            sys.exit("No new batch was published.")

    def parts_of_a_look(self) -> None:
        """What an idle look does, one by one, in this process."""
        from aftertone.labelstudio.client import LabelStudio
        from aftertone.labelstudio.snapshot import read_snapshot
        from aftertone.pipeline.dataset import join
        from aftertone.pipeline.housekeeping import keep_house
        from aftertone.pipeline.plan import next_step
        from aftertone.settings import Settings
        from aftertone.store.project import Store
        from aftertone.store.records import Tasks

        settings = Settings(**self._settings)
        store, now = Store(settings.model_dir).project(1), time.time()
        label_studio = LabelStudio(self._url, "token")
        cache = store.get(Tasks).cache
        snapshot, cache = read_snapshot(label_studio, 1, cache)
        state = store.load()
        dataset = join(snapshot, state.sources, now)
        parts: dict[str, Callable[[], object]] = {
            "read tasks.json": lambda: store.get(Tasks),
            "ask Label Studio": lambda: read_snapshot(label_studio, 1, cache),
            "load the state": store.load,
            "join": lambda: join(snapshot, state.sources, now),
            "keep house": lambda: keep_house(store, state, snapshot, dataset, settings, now),
            "decide": lambda: next_step(snapshot, join(snapshot, state.sources, now), state, settings, now),
        }
        for name, part in parts.items():
            row(f"  of it: {name}", [measured(part) for _ in range(self._repeat)])

    def answers(self) -> None:
        """`aftertone status`, and /predict."""
        from aftertone.labelstudio.label_config import SMALLEST_CONFIG
        from aftertone.server.predict import predict
        from aftertone.settings import Settings
        from aftertone.status import describe, status
        from aftertone.store.project import Store

        settings = Settings(**self._settings)
        store = Store(settings.model_dir)
        row("status", [measured(lambda: [describe(p) for p in status(store).projects]) for _ in range(self._repeat)])
        ask = lambda: predict(store.project(1), [(7, True)], SMALLEST_CONFIG, settings)  # noqa: E731
        row("first answer to /predict", [measured(ask)])
        row("second answer to /predict", [measured(ask)])

    def _asked(self) -> dict[str, Any]:
        return httpx.post(f"{self._url}/asked", timeout=60).json()


def row(name: str, costs: list[Cost], asked: str = "") -> None:
    middle = [statistics.median(getattr(cost, field) for cost in costs) for field in ("wall", "cpu", "memory")]
    print(f"{name:<42}{middle[0]:>9.2f}{middle[1]:>9.2f}{middle[2]:>9.0f}   {asked}", flush=True)


def _peak() -> float:
    """MB."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--backbone", default="aftertone-mini")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    packages = ", ".join(f"{name} {version(name)}" for name in ("pydantic", "torch", "scikit-learn"))
    print(f"Python {platform.python_version()}, {packages}, {platform.machine()}, {os.cpu_count()} cores, ", end="")
    print(f"load {os.getloadavg()[0]:.1f} at the start; {arguments.tasks} tasks, {arguments.backbone}")
    command = [sys.executable, "-m", "tests.unit.aftertone.label_studio_over_http"]
    seconds = str(arguments.tasks / RATE)
    fake = subprocess.Popen(
        [*command, "--tasks", str(arguments.tasks), "--seconds", seconds, "--port", "0"], stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert fake.stdout is not None
    try:
        url = fake.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as scratch:
            run(url, Path(scratch), arguments)
    finally:
        fake.kill()
        fake.wait()
    print(f"load {os.getloadavg()[0]:.1f} at the end")


def run(url: str, model_dir: Path, arguments: argparse.Namespace) -> None:
    began = time.perf_counter()
    used = subprocess.run([sys.executable, "-c", START], check=True, capture_output=True, text=True).stdout
    print(f"\n{'':<42}{'seconds':>9}{'CPU':>9}{'peak MB':>9}")
    cpu, memory = map(float, used.split())
    row("start of a worker", [Cost(wall=time.perf_counter() - began, cpu=cpu, memory=memory)])

    from aftertone.labelstudio.label_config import SMALLEST_CONFIG
    from aftertone.pipeline.worker import collect_rarely
    from aftertone.store.project import Store
    from aftertone.store.records import Connection

    collect_rarely()  # as a worker does before it forks jobs
    Store(model_dir).project(1).connect(Connection(project=1, label_config=SMALLEST_CONFIG))
    settings = {
        "model_dir": model_dir, "label_studio_url": url, "label_studio_api_key": "token", "device": "cpu",
        "backbone": arguments.backbone, "settle_seconds": 1e6,
    }  # fmt: skip
    bench = Bench(url, settings, arguments.repeat)
    bench.jobs("first look, and the audio", 1)
    bench.jobs("a look right after it", 1)
    bench.jobs("a look 10 s after it", 1, ["wait", [10]])
    bench.jobs("an idle look")
    bench.jobs("settled: until the seed set is published", 1, settle_seconds=0.0)
    bench.jobs("an idle look", settle_seconds=0.0)
    bench.parts_of_a_look()
    bench.jobs("a look at one new label", 0, ["label_next", []], settle_seconds=0.0)
    bench.jobs("an idle look", settle_seconds=0.0)
    bench.batch()
    bench.answers()


START = (
    "import time, resource, aftertone.pipeline.worker; "
    "print(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)"
)


if __name__ == "__main__":
    main()
