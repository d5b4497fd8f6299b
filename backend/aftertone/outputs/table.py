"""`aftertone predictions`: every clip of a project as a line of a CSV, JSON Lines or Parquet file."""

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from aftertone.errors import StoreError
from aftertone.outputs.predictions import Prediction, Predictions, in_units, label_of, uncertainty, vote_share
from aftertone_model.data.files import whole_file
from aftertone_model.labels import LabelSchema, Ratings

CELLS = re.compile(r"([;\t\n])")
"""Where some readers of CSV begin another cell, though there is a comma between ours."""

FORMULA = re.compile(
    r"""[\s"\x00-\x1f\x7f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*[=+@\uff1d\uff0b\uff0d\uff20-]"""
)
"""What a cell begins with that a spreadsheet may run: =, +, - or @, also full-width, perhaps behind what is unseen."""

Row = dict[str, Any]
"""Column -> text, number, or None where there is nothing to say; the same columns, in the same order, in every row."""


def rows_of(found: Predictions) -> list[Row]:
    """The table, a row per clip; docs/predictions.md explains its columns."""
    return [_row(one, found) for one in found.rows]


def _row(one: Prediction, found: Predictions) -> Row:
    schema, clip = found.schema, one.clip
    answer = schema.answer(one.predictions) if one.predictions else ()
    return {
        "task": one.tasks[0],
        "tasks": " ".join(map(str, one.tasks)),
        "clip": clip.id if clip else None,
        "audio": one.audio,
        "seconds": round(clip.seconds, 3) if clip else None,
        "speaker": clip.speaker if clip else None,
        "split": one.split,
        "label": _text(label_of(one, schema), given=one.target is not None),
        "vote_share": _rounded(vote_share(one, schema)),
        "voters": one.voters,
        **_numbers(
            "label" if isinstance(schema, Ratings) else "votes", None if one.target is None else one.target, schema
        ),
        "prediction": _text(answer, given=bool(one.predictions)),
        "confidence": None
        if isinstance(schema, Ratings) or not answer
        else _rounded(schema.confidence(one.predictions)),
        "uncertainty": _rounded(uncertainty(one, schema)),
        **_numbers("predicted" if isinstance(schema, Ratings) else "p", one.predictions or None, schema),
        "round": found.record.number if one.predictions else None,
        "model_version": found.record.version if one.predictions else None,
        "note": one.note or None,
    }


def _numbers(prefix: str, shares: Iterable[float] | None, schema: LabelSchema) -> Row:
    """A column for each class or dimension."""
    names = [f"{prefix}_{name}" for name in schema.classes]
    if shares is None:
        return dict.fromkeys(names)
    return dict(zip(names, map(_rounded, in_units(list(shares), schema)), strict=True))


def _text(words: tuple[str, ...], *, given: bool) -> str | None:
    """'' is an answer that names no class, or a tie; None is no answer."""
    return "; ".join(words) if given else None


def _rounded(number: float | None) -> float | None:
    return None if number is None or math.isnan(number) else round(float(number), 6)


# -- files ---------------------------------------------------------------------------------------------------------


def write_table(rows: list[Row], path: Path) -> None:
    """Write the rows in the format that the name's ending asks for, whole or not at all.

    Raises:
        StoreError: it ends in none that is known, there is no such folder, or pyarrow is missing.
    """
    write = writer_of(path)
    with whole_file(path) as scratch:
        write(rows, scratch)


def writer_of(path: Path) -> Callable[[list[Row], Path], None]:
    """How a file of that name is written; looked up before anything is computed.

    Raises:
        StoreError: as `write_table`.
    """
    if path.suffix.lower() not in WRITERS:
        raise StoreError(f"{path.name} must end in {', '.join(WRITERS)}: that says which format to write.")
    if path.is_dir():
        raise StoreError(f"{path} is a folder. Name a file with --out.")
    if not path.absolute().parent.is_dir():
        raise StoreError(f"There is no folder {path.absolute().parent}. Make it, or name another file with --out.")
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow  # noqa: F401  # pyright: ignore[reportMissingImports, reportUnusedImport]
        except ImportError:
            raise StoreError("Parquet needs pyarrow: `pip install pyarrow`. CSV and JSON Lines need nothing.") from None
    return WRITERS[path.suffix.lower()]


def _write_csv(rows: list[Row], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        print_csv(rows, file)


def print_csv(rows: Sequence[Row], file: TextIO) -> None:
    """Write rows as CSV; nothing at all where there is none."""
    if rows:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(map(for_spreadsheets, rows[0]))
        table.writerows(map(for_spreadsheets, row.values()) for row in rows)


def for_spreadsheets(cell: Any) -> Any:
    """Text of strangers that a spreadsheet would run as a formula gets an apostrophe, which spreadsheets hide.

    Readers may split a cell at a semicolon, a tab or a line break, so each of the pieces is looked at. Line breaks are
    all written as one that csv puts quotes around; a bare carriage return would begin another row.
    """
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r\n", "\n").replace("\r", "\n")
    safe = "".join(f"'{piece}" if FORMULA.match(piece) else piece for piece in CELLS.split(text))
    return f"'{safe}" if text.startswith(("\t", "\n")) else safe


def _write_json_lines(rows: list[Row], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _write_parquet(rows: list[Row], path: Path) -> None:
    import pandas as pd

    pd.DataFrame(rows).convert_dtypes().to_parquet(path, engine="pyarrow", index=False)


WRITERS: dict[str, Callable[[list[Row], Path], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
    ".parquet": _write_parquet,
}
