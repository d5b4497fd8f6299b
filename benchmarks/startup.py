"""How long commands take to answer, and how much memory they, the server and an idle worker need.

    python -m benchmarks.startup [--repeat 7] [--json FILE] > docs/benchmarks/startup.md

Medians over --repeat starts, each of a process of its own, after one that isn't counted: it compiles the modules, which
an installation has compiled. Seconds until a command has ended, until `aftertone serve` has answered /health, and until
`aftertone worker` has logged that it is ready. A fake Label Studio in a process of its own takes the token.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from aftertone.demo.project import label_config
from aftertone.store.records import Connection
from tests.unit.aftertone.made_store import CLASSES, make_project

CLIPS, ROUNDS = 5_000, 20  # of the project that commands speak of
COMMANDS = ("--help", "simulate --help", "status", "status --json", "rounds 1", "plan", "pause 1")
SETTLING = 3.0  # seconds after which a server or worker counts as idle
TICKS = os.sysconf("SC_CLK_TCK")
LABEL_CONFIG = label_config(CLASSES)
LAUNCH = """
import json, os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
began = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, used = os.wait4(child, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), time.perf_counter() - began, used.ru_utime + used.ru_stime,
                  used.ru_maxrss / 1024]))
"""
"""Runs a command in a child of a process that is small itself: a child's peak memory begins with its parent's."""
ABOUT = f"""# Start-up

`python -m benchmarks.startup` starts each several times, in processes of their own, and gives medians. The project
has {CLIPS:,} clips and {ROUNDS} rounds. A command counts as started once it has ended, `aftertone serve` once it
answers /health, `aftertone worker` once it is ready; then they are left alone for {SETTLING:g} s. Memory of a command
is the most that it had, of the others what they have then: resident (RSS) and, in brackets, with what is shared with
other processes counted in parts (PSS), as that of the embedded Redis is. [startup.json](startup.json) has the same
figures for programs.
"""


@dataclass(frozen=True, kw_only=True)
class Start:
    """What one start took."""

    memory: float  # MB
    wall: float | None = None  # s; None of a server that has been at work since
    cpu: float | None = None  # s; None likewise
    shared_in_parts: float | None = None  # MB; None of a command that has ended
    redis: float | None = None  # MB of the embedded Redis; None where none is started


@dataclass(frozen=True, kw_only=True)
class Process:
    """One that runs."""

    pid: int

    def children(self) -> "list[Process]":
        """Its children."""
        found = Path(f"/proc/{self.pid}/task").glob("*/children")
        return [Process(pid=int(pid)) for file in found for pid in file.read_text().split()]

    @property
    def name(self) -> str:
        """Of its program."""
        return Path(f"/proc/{self.pid}/comm").read_text().strip()

    @property
    def cpu(self) -> float:
        """Seconds that it computed."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, kind: str) -> float:
        """MB of a kind, such as Rss or Pss."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{kind}:"))


def command(arguments: str, environment: Mapping[str, str]) -> Start:
    """Run a command to its end."""
    run = [sys.executable, "-I", "-S", "-c", LAUNCH, sys.executable, "-m", "aftertone", *arguments.split()]
    shown = subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout
    code, wall, cpu, memory = json.loads(shown)
    if code not in (0, 2):  # 2: something waits for a person
        sys.exit(f"aftertone {arguments} ended with {code}.")
    return Start(wall=wall, cpu=cpu, memory=memory)


def idle(process: Process) -> Start:
    """What a server or worker needs once it is left alone."""
    time.sleep(SETTLING)
    redis = [child.memory("Pss") for child in process.children() if child.name == "redis-server"]
    return Start(memory=process.memory("Rss"), shared_in_parts=process.memory("Pss"), redis=sum(redis))


def started(process: Process, began: float) -> Start:
    """The same of one that has just started, with what that took."""
    wall, cpu = time.perf_counter() - began, process.cpu
    return replace(idle(process), wall=wall, cpu=cpu)


@contextmanager
def running(arguments: Sequence[str], environment: Mapping[str, str], **pipes: Any) -> Iterator[subprocess.Popen[str]]:
    """A process of Python, which ends with the block."""
    process = subprocess.Popen([sys.executable, *arguments], env=environment, text=True, **pipes)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def serve(environment: Mapping[str, str]) -> tuple[Start, Start]:
    """Start a server; as it is then, and as it is after it has answered everything that Label Studio and people ask."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began = time.perf_counter()
    with (
        running(["-m", "aftertone", "serve"], {**environment, "PORT": str(port)}) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, headers={"Connection": "close"}) as client,
    ):
        while True:
            try:
                client.get("/health").raise_for_status()
                break
            except httpx.TransportError:
                if process.poll() is not None:
                    sys.exit("The server has ended before it answered.")
                time.sleep(0.01)
        server = Process(pid=process.pid)
        first = started(server, began)
        tasks = [{"id": number, "is_labeled": True} for number in range(1, CLIPS + 1)]
        for path, body in (
            ("/setup", {"project": "1.0", "schema": LABEL_CONFIG, "extra_params": None}),
            ("/predict", {"project": "1.0", "label_config": LABEL_CONFIG, "tasks": tasks}),
            ("/webhook", {"action": "ANNOTATION_CREATED", "project": {"id": 1}}),
        ):
            client.post(path, json=body).raise_for_status()
        for path in ("/", "/projects/1", "/status", "/metrics"):
            client.get(path, headers={"Accept": "text/html"}).raise_for_status()
        return first, idle(server)


def worker(environment: Mapping[str, str]) -> Start:
    """Start a worker that has no project to look after."""
    began = time.perf_counter()
    with running(["-u", "-m", "aftertone", "worker"], environment, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = ""
        while "Worker ready" not in said:
            said = process.stderr.readline()
            if not said:
                sys.exit("The worker has ended before it was ready.")
        return started(Process(pid=process.pid), began)


@contextmanager
def label_studio() -> Iterator[str]:
    """The address of a fake that takes any token."""
    fake = ["-m", "tests.unit.aftertone.label_studio_over_http", "--tasks", "1", "--port", "0"]
    with running(fake, os.environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


def median(starts: Sequence[Start]) -> Start:
    """Of each figure."""
    rows: list[dict[str, Any]] = [asdict(one) for one in starts]
    return Start(
        **{name: statistics.median(row[name] for row in rows) for name in rows[0] if rows[0][name] is not None}
    )


def table(found: Mapping[str, Start]) -> str:
    """As Markdown."""
    lines = ["| | seconds | CPU seconds | memory, MB | embedded Redis, MB |", "| --- | --- | --- | --- | --- |"]
    for name, one in found.items():
        parts = "" if one.shared_in_parts is None else f" ({one.shared_in_parts:.0f})"
        wall, cpu, redis = ("" if one is None else f"{one:.2f}" for one in (one.wall, one.cpu, one.redis))
        lines.append(f"| {name} | {wall} | {cpu} | {one.memory:.0f}{parts} | {redis} |")
    return "\n".join(lines)


def measure(scratch: Path, url: str, repeat: int) -> dict[str, Start]:
    """Everything, as medians."""
    store = make_project(scratch / "model", clips=CLIPS, rounds=ROUNDS)
    store.connect(Connection(project=1, label_config=LABEL_CONFIG))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
        "PYTHONPYCACHEPREFIX": str(scratch / "bytecode"), "MODEL_DIR": str(scratch / "model"), "REDIS_URL": "",
        "LABEL_STUDIO_URL": url, "LABEL_STUDIO_API_KEY": "any", "BACKBONE": "aftertone-mini",
    }  # fmt: skip
    empty = {**environment, "MODEL_DIR": str(scratch / "empty")}
    found = {}
    for arguments in COMMANDS:
        starts = [command(arguments, environment) for _ in range(repeat + 1)][1:]
        found[f"`aftertone {arguments}`"] = median(starts)
    pairs = [serve(environment) for _ in range(repeat + 1)][1:]
    found["`aftertone serve`"] = median([first for first, _ in pairs])
    after = median([second for _, second in pairs])
    found["the same, after it has answered"] = after
    found["`aftertone worker`, idle"] = median([worker(empty) for _ in range(repeat + 1)][1:])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=7, help="starts that are counted of each")
    parser.add_argument("--json", type=Path, help="file to write the figures to as well")
    asked = parser.parse_args(arguments)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count(),
               "pydantic": version("pydantic"), "typer": version("typer"), "starts": asked.repeat,
               "load before": round(os.getloadavg()[0], 1)}  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch, label_studio() as url:
        found = measure(Path(scratch), url, asked.repeat)
    print(ABOUT)
    print(", ".join(f"{name} {value}" for name, value in machine.items()) + ".\n")
    print(table(found))
    if asked.json is not None:
        figures = {name.replace("`", ""): asdict(one) for name, one in found.items()}
        asked.json.write_text(json.dumps({"measured on": machine, "medians": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
