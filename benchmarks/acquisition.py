"""BatchBALD and BADGE at full size, and beside batchbald-redux and scikit-activeml: time, peak memory, agreement.

    python -m benchmarks.acquisition > docs/benchmarks/acquisition.md

Every case runs in a process of its own, so that its peak memory is its own. The inputs are made up: a linear head over
clustered embeddings under dropout masks. No network, no GPU.
"""

import argparse
import json
import logging
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASSES, SAMPLES, DIMENSIONS = 4, 20, 768
OUTCOMES = 4_096  # joint outcomes of BatchBALD, ours and the reference's
NOTES = """
scikit-activeml holds clips x classes x dimensions in float64: 50,000 clips are about what fits into 4 GB. The time of
batchbald-redux grows with clips x picks: 100,000 clips and 100 picks would by that take about 500 times as
long as its row.

BatchBALD's first picks are exact, and the same; later ones rest on sampled outcomes, which the two draw differently
(given the same draws they pick the same: tests/unit/aftertone_model/acquisition/test_batchbald.py). BADGE draws all
picks but the first by chance; that the law is right is tested too.
"""
PACKAGES = ("numpy", "torch", "batchbald-redux", "scikit-activeml", "scikit-learn")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One measurement."""

    strategy: str  # "batchbald" or "badge"
    library: str  # "aftertone", or the peer
    candidates: int  # N
    picks: int  # k
    runs: int  # of which the median is taken


CASES = [
    Case(strategy="batchbald", library="aftertone", candidates=100_000, picks=100, runs=3),
    Case(strategy="batchbald", library="aftertone", candidates=2_000, picks=10, runs=5),
    Case(strategy="batchbald", library="batchbald-redux", candidates=2_000, picks=10, runs=3),
    Case(strategy="badge", library="aftertone", candidates=100_000, picks=200, runs=3),
    Case(strategy="badge", library="aftertone", candidates=50_000, picks=20, runs=5),
    Case(strategy="badge", library="scikit-activeml", candidates=50_000, picks=20, runs=3),
    Case(strategy="badge", library="aftertone", candidates=10_000, picks=200, runs=5),
    Case(strategy="badge", library="scikit-activeml", candidates=10_000, picks=200, runs=3),
]


def dropout_samples(candidates: int) -> NDArray[np.float32]:
    """(N, K, C) class probabilities of a random linear head under K dropout masks."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(DIMENSIONS, CLASSES)) / np.sqrt(DIMENSIONS)
    masked = [((rng.random(DIMENSIONS) > 0.3) / 0.7)[:, None] * weights for _ in range(SAMPLES)]
    heads = np.stack(masked, axis=1).reshape(DIMENSIONS, -1).astype(np.float32)  # (D, K C)
    logits = 2 * (embeddings(candidates) @ heads).reshape(candidates, SAMPLES, CLASSES)
    chances = np.exp(logits - logits.max(axis=2, keepdims=True))
    return chances / chances.sum(axis=2, keepdims=True)


def embeddings(candidates: int) -> NDArray[np.float32]:
    """(N, D) in 30 groups."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(30, DIMENSIONS)).astype(np.float32)
    return centres[rng.integers(0, 30, candidates)] + rng.standard_normal((candidates, DIMENSIONS), dtype=np.float32)


def prepare(case: Case) -> Callable[[], list[int]]:
    """What is timed: from inputs in memory to the picks."""
    if case.strategy == "batchbald":
        mc = dropout_samples(case.candidates)
        if case.library == "aftertone":
            return _ours(case, mc=mc)
        import torch
        from batchbald_redux.batchbald import get_batchbald_batch

        logs = torch.from_numpy(mc).log()
        return lambda: get_batchbald_batch(logs, case.picks, OUTCOMES, dtype=torch.float).indices
    points = embeddings(case.candidates)
    chances = np.random.default_rng(2).dirichlet(np.ones(CLASSES), case.candidates).astype(np.float32)
    if case.library == "aftertone":
        return _ours(case, probabilities=chances, embeddings=points)
    return _scikit_activeml_badge(case, chances, points)


def _ours(case: Case, **arrays: Any) -> Callable[[], list[int]]:
    from aftertone_model.acquisition import STRATEGIES, Inputs  # not at the top: no part of the peers' peak memory

    inputs = Inputs(candidates=case.candidates, **arrays)
    return lambda: STRATEGIES[case.strategy].rank(inputs, case.picks, np.random.default_rng(0)).picks.tolist()


def _scikit_activeml_badge(
    case: Case, chances: NDArray[np.float32], points: NDArray[np.float32]
) -> Callable[[], list[int]]:
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import Badge

    class Scored(SkactivemlClassifier):
        """A classifier whose predictions are known already."""

        def fit(self, X, y, sample_weight=None):  # noqa: ARG002
            return self

        def predict_proba(self, X, **kwargs):  # noqa: ARG002
            return chances

    unlabelled = np.full(case.candidates, np.nan)
    badge: Any = Badge(random_state=0)  # `query` is declared with what other arguments would return as well
    return lambda: badge.query(points, unlabelled, Scored(), fit_clf=False, batch_size=case.picks)


def measure(case: Case) -> dict[str, float | list[int]]:
    """Runs one case in this process."""
    exhausted = BufferingHandler(capacity=1_000)
    logging.getLogger("aftertone_model.acquisition").addHandler(exhausted)
    logging.getLogger("aftertone_model.acquisition").setLevel(logging.INFO)
    pick = prepare(case)
    walls, cpus, picks = [], [], []
    for _ in range(case.runs):
        wall, cpu = time.perf_counter(), time.process_time()
        picks = [int(row) for row in pick()]
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    return {
        "wall": statistics.median(walls),
        "cpu": statistics.median(cpus),
        "peak": peak,
        "picks": picks,
        "informed": vars(exhausted.buffer[-1])["informed"] if exhausted.buffer else case.picks,
    }


def machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def report() -> None:
    """Prints the page."""
    print("# Acquisition at full size\n")
    print("Printed by `python -m benchmarks.acquisition`.\n")
    print(f"- Machine: {machine()}")
    print(f"- Versions: {', '.join(f'{name} {version(name)}' for name in PACKAGES)}")
    print(f"- Inputs: C = {CLASSES}; BatchBALD K = {SAMPLES}, {OUTCOMES:,} joint outcomes; BADGE D = {DIMENSIONS}")
    print(f"- Load average at the start: {os.getloadavg()[0]:.1f}; CPU time is the fairer figure on a busy machine\n")
    print("Median of the runs; peak memory is the process's, with libraries and inputs.\n")
    print("| strategy | library | clips | picks | runs | wall s | CPU s | peak GB |")
    print("| --- | --- | --: | --: | --: | --: | --: | --: |")
    results = {}
    for case in CASES:
        command = [sys.executable, "-m", "benchmarks.acquisition", "--case", json.dumps(asdict(case))]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = results[case] = json.loads(output.splitlines()[-1])
        print(
            f"| {case.strategy} | {case.library} | {case.candidates:,} | {case.picks} | {case.runs} "
            f"| {found['wall']:.2f} | {found['cpu']:.2f} | {found['peak'] / 1e9:.2f} |",
            flush=True,
        )
    for case, found in results.items():
        if found["informed"] < case.picks:
            print(
                f"\nOf the {case.picks} picks of {case.strategy} from {case.candidates:,} clips {found['informed']} "
                f"use up what {SAMPLES} samples tell (log {SAMPLES} = {np.log(SAMPLES):.1f} nats); "
                "PowerBALD draws the others."
            )
    print("\nAgainst the peers, same inputs, same size:\n")
    for case, theirs in results.items():
        if case.library == "aftertone":
            continue
        ours = next(
            found
            for other, found in results.items()
            if other.library == "aftertone"
            and (other.strategy, other.candidates, other.picks) == (case.strategy, case.candidates, case.picks)
        )
        same = sum(a == b for a, b in zip(ours["picks"], theirs["picks"], strict=True))
        print(
            f"- {case.strategy}, {case.candidates:,} clips, {case.picks} picks: {case.library} takes "
            f"{theirs['wall'] / ours['wall']:.1f} x the time, {theirs['cpu'] / ours['cpu']:.1f} x the CPU time and "
            f"{theirs['peak'] / ours['peak']:.1f} x the memory; {same} picks are the same"
        )
    print(NOTES, end="")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", help="run this one case (JSON) and print its result; used by the report itself")
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(Case(**json.loads(arguments.case)))))
    else:
        report()
