"""Query strategies at full size, and beside scikit-activeml and batchbald-redux: time, memory, growth, agreement.

    python -m benchmarks.acquisition --out docs/benchmarks --kept build/acquisition.jsonl

Writes acquisition.md, acquisition.json and acquisition-growth.svg. Every case runs in a process of its own
(`benchmarks.acquisition_case`), so that its peak memory is its own, and is kept in a file as soon as it has run.
Started again, the benchmark goes on from there; once the page is written the file is renamed to `<name>.done`. No
network, no GPU. `--list` only says what would run, `--only coreset` runs the cases of one strategy and writes nothing.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.acquisition_case import PICKS, UNCERTAIN, Case

SIZES = (1_000, 10_000, 100_000)
PEER_SIZES = (1_000, 3_000, 10_000, 20_000, 50_000, 100_000)  # finer, to find the largest that a peer finishes
FULL, MILLION = SIZES[-1], 1_000_000
SECONDS, MEMORY = 60, 8e9  # no run of a peer may take longer, and none of anybody more
PEERS = {
    "badge": "scikit-activeml",
    "batchbald": "batchbald-redux",
    "coreset": "scikit-activeml",
    "probcover": "scikit-activeml",
    "typiclust": "scikit-activeml",
}
PEERLESS = (
    "anchoral",
    "bald",
    "cluster-margin",
    "direct",
    "entropy-clusters",
    "igs",
    "kmeans",
    "powerbald",
    "typiclust-margin",
)
INFORMED = 10  # picks of BatchBALD beside its peer: about as many as 20 dropout samples can tell apart

Found = dict[str, Any] | str  # what `measure` gives, or why it gave nothing


class Measurements:
    """Runs cases, each once; what was found is kept in a file."""

    def __init__(self, kept: Path) -> None:
        self.kept = kept
        lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
        self.found: dict[Case, Found] = {Case(**line["case"]): line["found"] for line in map(json.loads, lines)}

    def of(self, case: Case) -> Found:
        if case not in self.found:
            print(f"{case.strategy}, {case.library}, {case.candidates:,} clips", file=sys.stderr, flush=True)
            self.found[case] = run(case)
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            with self.kept.open("a", encoding="utf-8") as file:
                print(json.dumps({"case": asdict(case), "found": self.found[case]}), file=file)
        return self.found[case]


def run(case: Case) -> Found:
    """The case in a process of its own, which is ended where it takes too much time or memory."""
    command = [sys.executable, "-m", "benchmarks.acquisition_case", json.dumps(asdict(case))]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        child, too_large = subprocess.Popen(command, stdout=out, stderr=errors), False
        while child.poll() is None:
            if resident(child.pid) > MEMORY:
                too_large = True
                child.kill()
            time.sleep(0.1)
        out.seek(0)
        errors.seek(0)
        if too_large:
            return f"takes more than {MEMORY / 1e9:.0f} GB"
        if child.returncode == -signal.SIGALRM:
            return f"takes longer than {SECONDS} s"
        message = errors.read().decode()
        if child.returncode:
            if "MemoryError" not in message:
                sys.exit(message)
            return f"takes more than {MEMORY / 1e9:.0f} GB"
        return json.loads(out.read().splitlines()[-1])


def resident(process: int) -> float:
    """Bytes; 0 where that can't be told."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def largest(measurements: Measurements, strategy: str) -> tuple[list[Case], str]:
    """The cases that a strategy's peer finishes, by size, and why it goes no further."""
    finished: list[Case] = []
    for size in PEER_SIZES:
        case = Case(
            strategy=strategy,
            library=PEERS[strategy],
            candidates=size,
            picks=INFORMED if strategy == "batchbald" else PICKS,
            seconds=SECONDS,
        )
        found = measurements.of(case)
        if isinstance(found, str):
            return finished, f"with {size:,} it {found}"
        finished.append(case)
    return finished, ""


def ours(strategy: str, size: int, *, beside: bool = False) -> Case:
    """The case of ours, with as many picks as its peer is asked for or as many as all strategies are."""
    picks = INFORMED if beside and strategy == "batchbald" else PICKS
    return Case(strategy=strategy, library="aftertone", candidates=size, picks=picks)


def everything(strategies: list[str]) -> list[Case]:
    """All cases but those that a peer's limit decides on."""
    cases: list[Case] = []
    for name in strategies:
        if name in UNCERTAIN:
            cases.append(Case(strategy=name, library="scikit-activeml", candidates=MILLION))
        cases += [ours(name, size) for size in (*SIZES, MILLION)]
    return cases


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"), help="folder of what is written")
    parser.add_argument("--kept", type=Path, default=Path("build/acquisition.jsonl"), help="file of what was measured")
    parser.add_argument("--only", nargs="*", help="run the cases of these strategies and write nothing")
    parser.add_argument("--list", action="store_true", help="say what would run")
    arguments = parser.parse_args()
    strategies = arguments.only or [*UNCERTAIN, *PEERS, *PEERLESS]
    measurements, load = Measurements(arguments.kept), os.getloadavg()[0]
    if arguments.list:
        for case in everything(strategies):
            print(case, "" if case not in measurements.found else "(measured)")
        print("and the peers of", ", ".join(name for name in strategies if name in PEERS), "at", PEER_SIZES)
        sys.exit()
    for case in everything(strategies):
        measurements.of(case)
    for name in strategies:
        if name in PEERS:
            finished, _ = largest(measurements, name)
            measurements.of(ours(name, finished[-1].candidates, beside=True))
    if not arguments.only:
        from benchmarks.acquisition_report import write

        write(measurements, arguments.out, load)
        arguments.kept.replace(arguments.kept.with_name(f"{arguments.kept.name}.done"))
