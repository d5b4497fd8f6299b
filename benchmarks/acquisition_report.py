"""The page of `benchmarks.acquisition`, its figure, and the same numbers as JSON."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("svg")
import matplotlib.pyplot as plt

from benchmarks.acquisition import (
    FULL,
    INFORMED,
    MEMORY,
    MILLION,
    PEER_SIZES,
    PEERLESS,
    PEERS,
    SECONDS,
    SIZES,
    Measurements,
    largest,
    ours,
)
from benchmarks.acquisition_case import DIMENSIONS, LABELLED, OUTCOMES, PICKS, SAMPLES, UNCERTAIN, Case
from benchmarks.machine import processor

PACKAGES = ("numpy", "torch", "scikit-learn", "scikit-activeml", "batchbald-redux")
SECONDS_ALLOWED = 0.2  # that entropy and the like may take
TIMES = 10  # as fast as a peer that the others have to be
COLUMNS = (*PEER_SIZES, MILLION)
NOTES = f"""
Of distances less is better, of nats and scores more. BADGE draws clips of large gradients, which lie apart from the
others, so that its figure says only that both draw alike. The made-up pool has one radius that covers all of it from
anywhere, so that ProbCover is compared by time alone.

scikit-activeml's TypiClust clusters the whole pool; ours fits its centres on at most 20,000 clips, from a start on
5,000. Its ProbCover holds the distances of all pairs and covers every clip; ours covers 2,048 drawn by chance. It is
told our radius, and so spared its own search for one. BatchBALD is compared by {INFORMED} picks, as {SAMPLES} dropout
samples tell few more apart. Its first picks are exact and the same; later ones rest on sampled outcomes, which the two
draw differently (given the same draws they pick the same: tests/unit/aftertone_model/acquisition/test_batchbald.py).
BADGE draws all picks but the first by chance; that the law is right is tested too. Neither peer has ClusterMargin, TCM
(`typiclust-margin`) or the others of the growth table that stand there without one.

K-means runs on one thread, so that the same seed gives the same picks; the peers' on all.
"""


def write(measurements: Measurements, folder: Path, load: float) -> None:
    """acquisition.md, acquisition.json and acquisition-growth.svg."""
    lines = ["# Query strategies at full size", ""]
    lines += ["Printed by `python -m benchmarks.acquisition --out docs/benchmarks`.", ""]
    lines += [f"- Machine: {machine()}", f"- Versions: {', '.join(f'{name} {version(name)}' for name in PACKAGES)}"]
    lines += [
        f"- Inputs: {DIMENSIONS} dimensions in float32, 4 classes (8 for entropy, margin and least confidence), "
        f"{LABELLED} labelled clips, {PICKS} picks; BatchBALD: {SAMPLES} samples, {OUTCOMES:,} joint outcomes",
        f"- Load average at the start and at the end: {load:.1f}, {os.getloadavg()[0]:.1f}; CPU time is the fairer "
        "figure on a busy machine",
        "- Medians of five runs or, where the first takes longer than 10 s, of three; one run where it takes longer "
        "than a minute. Peak memory is the process's, with libraries and inputs.",
        "",
    ]
    for part in (_uncertain, _beside, _full, _million, _growth):
        lines += part(measurements)
    text = "\n".join(lines) + NOTES
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "acquisition.md").write_text(text, encoding="utf-8")
    cases = [_compact(case, found) for case, found in measurements.found.items()]
    head = {"machine": machine(), "versions": {name: version(name) for name in PACKAGES}}
    rows = ",\n".join(json.dumps(case) for case in cases)
    (folder / "acquisition.json").write_text(f'{json.dumps(head)[:-1]}, "cases": [\n{rows}\n]}}\n', encoding="utf-8")
    _draw(measurements, folder / "acquisition-growth.svg")


def _uncertain(measurements: Measurements) -> list[str]:
    lines = [f"## {MILLION:,} predictions of 8 classes", ""]
    lines += ["| strategy | library | runs | wall s | CPU s | peak GB |", "| --- | --- | --: | --: | --: | --: |"]
    agreement = [""]
    for name in UNCERTAIN:
        own, peer = ours(name, MILLION), Case(strategy=name, library="scikit-activeml", candidates=MILLION)
        lines += [_row(name, case.library, measurements.of(case)) for case in (own, peer)]
        agreement += [f"- {name}: {_agreement(measurements.of(own), measurements.of(peer))}"]
    slow = [name for name in UNCERTAIN if _of(measurements, ours(name, MILLION))["wall"] >= SECONDS_ALLOWED]
    verdict = (
        f"Ours take less than {SECONDS_ALLOWED} s." if not slow else f"{', '.join(slow)}: {SECONDS_ALLOWED} s or more."
    )
    return [*lines, "", verdict, *agreement, ""]


def _beside(measurements: Measurements) -> list[str]:
    lines = ["## Beside a peer, at the largest size that it finishes", ""]
    lines += [f"At most {FULL:,} clips, {SECONDS} s a run and {MEMORY / 1e9:.0f} GB.", ""]
    lines += ["| strategy | peer | clips | picks | ours: wall s, CPU s, GB | peer's | wall | CPU | memory |"]
    lines += ["| --- | --- | --: | --: | --: | --: | --: | --: | --: |"]
    agreement, missed = [""], []
    for name in PEERS:
        finished, why = largest(measurements, name)
        peer = finished[-1]
        own, theirs = _of(measurements, ours(name, peer.candidates, beside=True)), _of(measurements, peer)
        ratios = [theirs[what] / own[what] for what in ("wall", "cpu", "peak")]
        missed += [name] if ratios[0] < TIMES else []
        costs = [f"{found['wall']:.2f}, {found['cpu']:.2f}, {found['peak'] / 1e9:.2f}" for found in (own, theirs)]
        lines += [
            f"| {name} | {peer.library} | {peer.candidates:,} | {peer.picks} | {' | '.join(costs)} | "
            f"{' | '.join(f'{ratio:.1f} x' for ratio in ratios)} |"
        ]
        agreement += [f"- {name}: {_agreement(own, theirs)}" + (f". Of the peer: {why}" if why else "")]
    verdict = (
        f"Ours take less than 1/{TIMES} of the peer's time." if not missed else f"Not {TIMES} x: {', '.join(missed)}."
    )
    return [*lines, "", verdict, *agreement, ""]


def _full(measurements: Measurements) -> list[str]:
    lines = [f"## {FULL:,} clips", "", "| strategy | runs | wall s | CPU s | peak GB |"]
    lines += ["| --- | --: | --: | --: | --: |"]
    names = [*PEERS, *PEERLESS]
    lines += [_row(name, "", measurements.of(ours(name, FULL))) for name in names]
    for name in names:
        found = measurements.of(ours(name, FULL))
        if isinstance(found, dict) and found["informed"] < PICKS:
            lines += [
                "",
                f"Of the {PICKS} picks of {name} {found['informed']} use up what {SAMPLES} samples tell (log {SAMPLES} "
                f"= {np.log(SAMPLES):.1f} nats); PowerBALD draws the others.",
            ]
    return [*lines, ""]


def _million(measurements: Measurements) -> list[str]:
    names = [*PEERS, *PEERLESS]
    failed = [name for name in names if isinstance(measurements.of(ours(name, MILLION)), str)]
    verdict = f"All stay within {MEMORY / 1e9:.0f} GB." if not failed else f"Not within it: {', '.join(failed)}."
    lines = [f"## {MILLION:,} clips of {DIMENSIONS} dimensions, in {MEMORY / 1e9:.0f} GB", ""]
    lines += [f"The embeddings alone are {MILLION * DIMENSIONS * 4 / 1e9:.1f} GB. {verdict}", ""]
    lines += ["| strategy | runs | wall s | CPU s | peak GB |", "| --- | --: | --: | --: | --: |"]
    return [*lines, *(_row(name, "", measurements.of(ours(name, MILLION))) for name in names), ""]


def _growth(measurements: Measurements) -> list[str]:
    lines = ["## Growth with the pool", "", "![Wall time by pool size](acquisition-growth.svg)", ""]
    lines += [
        "The exponent is the slope of the least-squares line of log wall time over log clips: 1 is time in proportion "
        "to the pool, 2 to its square. Small pools show fixed costs, hence a second one.",
        "",
        f"| strategy | library | {' | '.join(f'{size:,}' for size in COLUMNS)} | exponent | from 10,000 on |",
        f"| --- | --- |{' --: |' * (len(COLUMNS) + 2)}",
    ]
    for (name, library), times in _series(measurements).items():
        cells = [f"{times[size]:.3g}" if size in times else "" for size in COLUMNS]
        slopes = [_exponent(times), _exponent({size: wall for size, wall in times.items() if size >= 10_000})]
        lines += [f"| {name} | {library} | {' | '.join(cells)} | {' | '.join(slopes)} |"]
    return [*lines, ""]


def _series(measurements: Measurements) -> dict[tuple[str, str], dict[int, float]]:
    """(strategy, library) -> size -> wall seconds."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for name in (*UNCERTAIN, *PEERS, *PEERLESS):
        found[name, "aftertone"] = {size: _of(measurements, ours(name, size))["wall"] for size in (*SIZES, MILLION)}
        if name in PEERS:
            finished, _ = largest(measurements, name)
            found[name, PEERS[name]] = {case.candidates: _of(measurements, case)["wall"] for case in finished}
    return found


def _exponent(times: dict[int, float]) -> str:
    if len(times) < 2:
        return ""
    return f"{np.polyfit(np.log(list(times)), np.log(list(times.values())), 1)[0]:.2f}"


def _draw(measurements: Measurements, file: Path) -> None:
    plt.rcParams["svg.hashsalt"] = "aftertone"  # the same figure from the same numbers
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True, layout="constrained")
    colours = plt.get_cmap("tab20").colors  # pyright: ignore[reportAttributeAccessIssue]
    for number, name in enumerate((*UNCERTAIN, *PEERS, *PEERLESS)):
        axes = left if name in PEERS else right
        for library in ("aftertone", PEERS.get(name, "")):
            times = _series(measurements).get((name, library))
            if times:
                style, label = ("-", name) if library == "aftertone" else ("--", None)
                axes.loglog(list(times), list(times.values()), f"o{style}", ms=3, color=colours[number], label=label)
    for axes, title in ((left, "ours, and the peer's dashed"), (right, "without a peer, or compared at one size")):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("clips")
        axes.legend(fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.15))
        axes.grid(alpha=0.3)
    left.set_ylabel("wall seconds")
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def _of(measurements: Measurements, case: Case) -> dict[str, Any]:
    found = measurements.of(case)
    assert isinstance(found, dict), f"{case}: {found}"
    return found


def _row(name: str, library: str, found: dict[str, Any] | str) -> str:
    head = f"| {name} | {library} |" if library else f"| {name} |"
    if isinstance(found, str):
        return f"{head} | {found} | | |"
    return f"{head} {found['runs']} | {found['wall']:.3g} | {found['cpu']:.3g} | {found['peak'] / 1e9:.2f} |"


def _agreement(own: dict[str, Any] | str, theirs: dict[str, Any] | str) -> str:
    if isinstance(own, str) or isinstance(theirs, str):
        return "not compared"
    same = len(set(own["picks"]) & set(theirs["picks"]))
    values = [
        f"{name}: {value:.4g}, the peer's {theirs['objectives'][name]:.4g}, by chance {own['by_chance'][name]:.4g}"
        for name, value in own["objectives"].items()
    ]
    return f"{same} of {len(own['picks'])} picks are the same; {'; '.join(values)}"


def _compact(case: Case, found: dict[str, Any] | str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "strategy": case.strategy,
        "library": case.library,
        "clips": case.candidates,
        "picks": case.picks,
    }
    if isinstance(found, str):
        return row | {"failed": found}
    numbers = {name: float(f"{found[name]:.4g}") for name in ("wall", "cpu", "peak")}
    objectives = {name: float(f"{value:.6g}") for name, value in found["objectives"].items()}
    return row | {"runs": found["runs"]} | numbers | ({"objectives": objectives} if objectives else {})


def machine() -> str:
    return f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"
