"""The report: one HTML page without anything outside it, and the same tables as Markdown."""

import html
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from aftertone_model.data.files import write_text
from aftertone_model.simulate.conditions import ours
from aftertone_model.simulate.cost import clock
from aftertone_model.simulate.figures import DRAWN, draw
from aftertone_model.simulate.gain_tables import each_left_out, gains, rare_clips
from aftertone_model.simulate.grid import Grid
from aftertone_model.simulate.prepared import Prepared
from aftertone_model.simulate.results import Result
from aftertone_model.simulate.table import Table
from aftertone_model.simulate.tables import effects, every_condition, findings, table_2, table_4

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; font-size: 0.85rem; display: block; overflow-x: auto; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap; }
th { border-bottom: 2px solid #888; }
svg { max-width: 100%; height: auto; }
li { margin: 0.3rem 0; }
code { background: #f2f2f2; padding: 0.1rem 0.3rem; overflow-wrap: anywhere; }
"""


def write_report(
    folder: Path, results: Sequence[Result], grid: Grid, prepared: Prepared, command: str, seconds: float
) -> Path:
    """Write figures/, tables.md and report.html into `folder`; returns the page."""
    found = [
        table_2(results, ours(grid)),
        table_4(results, grid),
        gains(results, grid),
        rare_clips(results, grid),
        each_left_out(results, grid, prepared.left_out),
        effects(results, grid),
        every_condition(results, grid),
    ]
    tables = [table for table in found if table is not None]
    facts = _facts(results, grid, prepared, command, seconds)
    told = findings(results, grid)
    drawn = draw(results, grid, folder / "figures")
    markdown = "\n".join([*(f"- {line}" for line in told), "", *(table.markdown() for table in tables), *_list(facts)])
    write_text(folder / "tables.md", markdown + "\n")
    page = folder / "report.html"
    write_text(page, _page(told, tables, drawn, facts))
    return page


def _facts(
    results: Sequence[Result], grid: Grid, prepared: Prepared, command: str, seconds: float
) -> list[tuple[str, str]]:
    cells = {result.cell: result.minutes for result in results}  # the last share's, which holds those before
    told = dict(told_of(prepared, command))
    return [
        *((name, told.pop(name)) for name in ("Command", "Corpus", "Left out", "Backbone")),
        ("Folds", _folds(grid, prepared)),
        ("Pool", _pool(grid)),
        ("Annotators", _annotators(grid)),
        ("Runs", _runs(grid)),
        ("Cells", f"{len(cells)}, {clock(60 * sum(cells.values()))} of one core; this call took {clock(seconds)}"),
        *told.items(),
    ]


def told_of(prepared: Prepared, command: str) -> list[tuple[str, str]]:
    """What every report says of itself: command, corpus, backbone, versions and machine."""
    speakers = {clip.speaker for clip in prepared.clips}
    hours = sum(clip.seconds for clip in prepared.clips) / 3600
    counts = [f"{name} {prepared.labels.count(number)}" for number, name in enumerate(prepared.classes)]
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aftertone", "torch", "transformers", "scikit-learn"))
    return [
        ("Command", command),
        ("Corpus", f"{len(prepared.clips)} clips, {hours:.2f} h, {len(speakers)} speakers; {', '.join(counts)}"),
        ("Left out", f"{len(prepared.refused)} files"),
        ("Backbone", prepared.backbone),
        ("Versions", f"{libraries}, Python {platform.python_version()}"),
        ("Machine", f"{platform.machine()}, {platform.system()}"),
    ]


def _runs(grid: Grid) -> str:
    if grid.every_fold:
        return f"{grid.seeds * grid.folds}: {grid.seeds} on each of {grid.folds} folds"
    fewest, more = divmod(grid.seeds, grid.folds)
    each = "one" if fewest == 0 else f"{fewest} or {fewest + 1}" if more else f"{fewest}"
    return f"{grid.seeds}: {each} on each of {min(grid.seeds, grid.folds)} folds"


def _folds(grid: Grid, prepared: Prepared) -> str:
    if prepared.left_out:
        return f"{grid.folds}: {', '.join(prepared.left_out)}; each is left out in turn, and the figures are of it"
    return f"{grid.folds}, no speaker in two; the figures are of the speakers left out"


def _pool(grid: Grid) -> str:
    told = ", ".join(f"{name} {share:.0%}" for name, share in grid.prevalence)
    return f"thinned to {told}, the other classes as in the corpus; test sets are not" if told else "as the corpus is"


def _annotators(grid: Grid) -> str:
    crowd = grid.crowd
    if crowd.annotators == 0:
        return "none: the corpus' own labels"
    errors = "by confusion matrix" if crowd.matrices else ", ".join(f"{rate:.0%}" for rate in crowd.rates)
    return f"{crowd.annotators}, who err: {errors}; shares of labels count votes"


def _list(facts: Sequence[tuple[str, str]]) -> list[str]:
    return ["### What was run", "", *(f"- {name}: {value}" for name, value in facts)]


def _page(told: Sequence[str], tables: Sequence[Table], drawn: Sequence[Path], facts: Sequence[tuple[str, str]]) -> str:
    pictures = [path.read_text(encoding="utf-8") for path in drawn]
    inline = [picture[picture.index("<svg") :] for picture in pictures]
    titles = [DRAWN[path.stem] for path in drawn]
    shown = "\n".join(f"<h2>{html.escape(title)}</h2>\n{svg}" for title, svg in zip(titles, inline, strict=True))
    items = "\n".join(f"<li>{html.escape(line)}</li>" for line in told)
    run = "\n".join(f"<li>{html.escape(name)}: <code>{html.escape(value)}</code></li>" for name, value in facts)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Aftertone: does labelling less suffice?</title>
<style>{STYLE}</style>
<h1>Does labelling less suffice?</h1>
<ul>
{items}
</ul>
{shown}
{"".join(table.html() for table in tables)}
<h2>What was run</h2>
<ul>
{run}
</ul>
</html>
"""
