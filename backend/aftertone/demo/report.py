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

PACKAGES = ("aftertone", "torch", "transformers", "label-studio-sdk", "scikit-learn", "rq")
LABEL_STUDIO_VERSION = "label-studio"


@dataclass(frozen=True, kw_only=True)
class RoundReport:
    """One published round."""

    number: int
    kind: str  # "seed" or "trained"
    version: str  # as Label Studio shows it
    labels: int  # clips labelled when it was made
    exam: dict[str, Any] | None  # metrics with intervals; None before there is a model or an exam label
    seconds: dict[str, float]  # wall clock of each step
    served: int  # tasks that the annotators were served from it
    served_as_published: bool  # whether each of them was the published next one
    strays: list[dict[str, Any]]  # the servings that were not


def report_round(record: Round, servings: Iterable[Serving]) -> RoundReport:
    """Sums up one round."""
    own = [serving for serving in servings if serving.round == record.number]
    strays = [asdict(serving) for serving in own if not serving.as_published]
    return RoundReport(
        number=record.number,
        kind=record.kind,
        version=record.version,
        labels=record.labels,
        exam=asdict(record.metrics) if record.metrics else None,
        seconds=dict(record.seconds),
        served=len(own),
        served_as_published=not strays,
        strays=strays,
    )


def line(report: RoundReport) -> str:
    """One round in one line, for people."""
    said = f"  round {report.number:<3} {report.labels:>5} labels   "
    if report.exam is None:
        said += "seed set, no model yet" if report.kind == "seed" else "no exam labels yet"
    else:
        ua, wa, clips = (report.exam[key] for key in ("ua", "wa", "clips"))
        said += f"UA {ua['value']:.2f} ({ua['low']:.2f} to {ua['high']:.2f})   WA {wa['value']:.2f}   exam of {clips}"
    kept = (
        "in the published order" if report.served_as_published else f"{len(report.strays)} NOT in the published order"
    )
    return f"{said}   {report.served} served, {kept}" if report.served else said


def write_report(
    path: Path, rounds: list[RoundReport], *, label_studio: str, corpus: str, clips: int, seconds: float, export: str
) -> None:
    """Writes the file; `seconds` is this start's wall clock, `label_studio` the server's version."""
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
                LABEL_STUDIO_VERSION: label_studio,
                **{package: version(package) for package in PACKAGES},
            },
        },
    )
