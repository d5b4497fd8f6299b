"""report.json: what an oracle's demo measured."""

import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aftertone.demo.oracle import Serving
from aftertone.store.rounds import Round
from aftertone_model.data.files import write_json
from aftertone_model.evaluation.estimate import TOO_FEW, Estimate

PACKAGES = ("aftertone", "torch", "transformers", "label-studio-sdk", "scikit-learn", "rq")


@dataclass(frozen=True, kw_only=True)
class RoundReport:
    """One published round."""

    number: int
    kind: str  # "seed" or "trained"
    version: str  # as Label Studio shows it
    labels: int  # clips labelled when it was made
    test: dict[str, Any] | None
    """Metrics on the held-out test set, and for whom their intervals hold (`scope`); None without a model or a label in
    the set."""
    seconds: dict[str, float]  # wall clock of each step
    served: int  # tasks that the annotators were served from it
    served_as_published: bool  # whether each of them was the published next one
    out_of_order: list[dict[str, Any]]  # the servings that were not


def report_round(record: Round, servings: Iterable[Serving]) -> RoundReport:
    """Sum up one round."""
    own = [serving for serving in servings if serving.round == record.number]
    out_of_order = [asdict(serving) for serving in own if not serving.as_published]
    return RoundReport(
        number=record.number,
        kind=record.kind,
        version=record.version,
        labels=record.labels,
        test={**asdict(record.metrics), "scope": record.metrics.scope} if record.metrics else None,
        seconds=dict(record.seconds),
        served=len(own),
        served_as_published=not out_of_order,
        out_of_order=out_of_order,
    )


def line(report: RoundReport) -> str:
    """One round in one line, for people."""
    said = f"  round {report.number:<3} {report.labels:>5} labels   "
    if report.test is None:
        said += "seed set, no model yet" if report.kind == "seed" else "no label in the held-out test set yet"
    else:
        ua, wa, clips, scope = (report.test[key] for key in ("ua", "wa", "clips", "scope"))
        ends = Estimate(**ua).ends
        interval = TOO_FEW if ends is None else f"95 % interval {ends[0]:.2f} to {ends[1]:.2f}"
        said += f"UA {ua['value']:.2f} ({interval})   WA {wa['value']:.2f}   on {clips} held-out clips ({scope})"
    order = "in order" if report.served_as_published else f"{len(report.out_of_order)} OUT OF ORDER"
    return f"{said}   {report.served} served, {order}" if report.served else said


def write_report(
    path: Path, rounds: list[RoundReport], *, label_studio: str, corpus: str, clips: int, seconds: float, export: str
) -> None:
    """Write the file; `seconds` is this start's wall clock, `label_studio` the server's version."""
    write_json(
        path,
        {
            "corpus": corpus,
            "clips": clips,
            "rounds": [asdict(report) for report in rounds],
            "export": export,
            "seconds": round(seconds, 1),
            "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
            "versions": {
                "python": platform.python_version(),
                "label-studio": label_studio,
                **{package: version(package) for package in PACKAGES},
            },
        },
    )
