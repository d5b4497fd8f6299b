"""A table as text, for a page and for Markdown."""

import html
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as text: title, note, column heads and rows."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """With its title as a heading of the third level."""
        lines = [f"| {' | '.join(row)} |" for row in (self.head, ("---",) * len(self.head), *self.rows)]
        return "\n".join([f"### {self.title}", "", self.note, "", *lines, ""])

    def html(self) -> str:
        """With its title as a heading of the second level; all text is escaped."""
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in self.head)
        rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>\n" for row in self.rows)
        return (
            f"<h2>{html.escape(self.title)}</h2>\n<p>{html.escape(self.note)}</p>\n"
            f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table>\n"
        )
