"""What a run says: a line per fault, a table at the end, and the same as JSON."""

import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.watch import Outcome


def line(outcome: Outcome, began: float, kills: int, wanted: int) -> str:
    """What happened, and where it struck."""
    clock = time.strftime("%H:%M:%S", time.localtime(outcome.began))
    count = f"{kills}/{wanted}" if outcome.kill else ""
    return (
        f"{clock} {outcome.began - began:6.0f} s  {count:>9}  {outcome.name:<20} {outcome.victim:<38} {outcome.where}"
    )


def table(outcomes: Sequence[Outcome]) -> str:
    """Counts by fault and by what was being done, and seconds until everything had gone on."""
    stages = sorted({outcome.where for outcome in outcomes})
    names = list(dict.fromkeys(sorted(outcome.name for outcome in outcomes)))
    head = ["fault", *stages, "all", "median s", "max s", "open"]
    rows = [head]
    for name in names:
        mine = [outcome for outcome in outcomes if outcome.name == name]
        counts = Counter(outcome.where for outcome in mine)
        seconds = [outcome.seconds for outcome in mine if outcome.seconds is not None]
        rows.append(
            [
                name,
                *(str(counts[stage] or "") for stage in stages),
                str(len(mine)),
                f"{statistics.median(seconds):.1f}" if seconds else "",
                f"{max(seconds):.1f}" if seconds else "",
                str(len(mine) - len(seconds) or ""),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def write(path: Path, outcomes: Sequence[Outcome], facts: dict[str, Any]) -> None:
    """The whole run as JSON."""
    faults = [{**vars(outcome), "seconds": outcome.seconds} for outcome in outcomes]
    path.write_text(json.dumps({**facts, "faults": faults}, indent=1) + "\n")
