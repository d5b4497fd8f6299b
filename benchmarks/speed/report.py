"""The page: a table for each case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.speed.contest import Result


@dataclass(frozen=True, kw_only=True)
class Table:
    """What came of a case."""

    title: str
    about: str
    columns: Sequence[str]
    rows: Mapping[str, Sequence[str]]
    results: Sequence[Result] = field(default_factory=tuple[Result, ...])
    notes: str = ""

    def markdown(self) -> str:
        """A section of the page."""
        lines = [f"## {self.title}", "", self.about, ""] if self.about else [f"## {self.title}", ""]
        lines += [f"| | {' | '.join(self.columns)} |", f"| --- |{' --: |' * len(self.columns)}"]
        lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in self.rows.items()]
        return "\n".join([*lines, *(["", self.notes] if self.notes else []), ""])

    def record(self) -> dict[str, object]:
        """For JSON."""
        rows = {name: dict(zip(self.columns, cells, strict=True)) for name, cells in self.rows.items()}
        return {"title": self.title, "about": self.about, "rows": rows, "runs": [r.record() for r in self.results]}


def ratio(peer: Result, ours: Result) -> str:
    """How many times as fast as the peer."""
    return f"{peer.median / ours.median:.2f}"
