"""Manifests: which audio files a corpus has, and what is known about each."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aftertone_model.errors import AftertoneError

AUDIO_SUFFIXES = frozenset(
    {".aac", ".aif", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".mka", ".mp3", ".mp4"}
    | {".oga", ".ogg", ".opus", ".wav", ".weba", ".webm", ".wma"}
)

ATTRIBUTES = ("corpus", "gender", "language")  # columns that are kept where a manifest has them
SHOWN = 20  # faulty lines that an error names


class ManifestError(AftertoneError):
    """A corpus can't be read. The message names the lines to correct."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One audio file of a corpus."""

    path: Path  # of the audio file; it exists
    emotion: str | None = None  # the corpus' own label, where it has one
    speaker: str | None = None  # who speaks, where the corpus knows
    seconds: float | None = None  # how long it says the clip is; nobody checks
    line: int | None = None  # of the manifest
    attributes: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)  # what other columns say


def read_manifest(path: Path, columns: Sequence[str] = ()) -> list[Row]:
    """Read a corpus: a CSV file with a column `path` and perhaps `emotion`, `speaker` and `duration_s`, or a folder
    of audio files.

    Paths in the CSV are relative to its folder. `corpus`, `gender` and `language` are kept as attributes, as are the
    columns that are asked for; others are ignored. A folder is searched with its subfolders, in
    the order of names, and gives neither emotion nor speaker.

    Args:
        columns: further attributes, which a CSV file must have as columns; a row may lack them.

    Raises:
        ManifestError: there is no such file or folder, no column `path` or one that is asked for, no row, or rows that
            name no file; the message names the lines.
    """
    if path.is_dir():
        rows = [
            Row(path=file)
            for file in sorted(path.rglob("*"))
            if file.suffix.lower() in AUDIO_SUFFIXES and file.is_file()
        ]
        if not rows:
            raise ManifestError(f"The folder {path} holds no audio files. Name a folder that does, or a manifest.csv.")
        return rows
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _read_rows(csv.DictReader(file), path, columns)
    except FileNotFoundError:
        raise ManifestError(f"There is no {path}. Name a manifest.csv or a folder of audio files.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path} is no CSV file in UTF-8 ({error}). Save it as one.") from error


def _read_rows(reader: "csv.DictReader[str]", manifest: Path, columns: Sequence[str]) -> list[Row]:
    if "path" not in (reader.fieldnames or ()):
        raise ManifestError(
            f"{manifest} has no column `path`. Its first line must name the columns: path,emotion,speaker."
        )
    named = [name for name in reader.fieldnames or () if name]
    for column in columns:
        if column not in named:
            raise ManifestError(f"There is no column {column}; there are: {', '.join(named)}.")
    rows, faults = [], []
    for record in reader:
        name = (record["path"] or "").strip()
        file = manifest.parent / name
        if not name:
            faults.append(f"line {reader.line_num} has no path")
        elif not file.is_file():
            faults.append(f"line {reader.line_num} names {name}, which is no file")
        else:
            rows.append(
                Row(
                    path=file,
                    emotion=_text(record, "emotion"),
                    speaker=_text(record, "speaker"),
                    seconds=_number(record, "duration_s"),
                    line=reader.line_num,
                    attributes={name: text for name in (*ATTRIBUTES, *columns) if (text := _text(record, name))},
                )
            )
    if faults:
        raise faulty_lines(manifest, faults)
    if not rows:
        raise ManifestError(f"{manifest} has no rows below its first line. Add a line per audio file.")
    return rows


def faulty_lines(manifest: Path, faults: Sequence[str]) -> ManifestError:
    """The error for a manifest in which some lines are wrong; each fault begins with "line N"."""
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return ManifestError(f"{manifest}: {'; '.join(faults[:SHOWN])}{more}. Correct or delete these lines.")


def _number(record: dict[str, str], column: str) -> float | None:
    """A finite number above 0; anything else is unknown."""
    try:
        number = float(record.get(column) or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def _text(record: dict[str, str], column: str) -> str | None:
    return (record.get(column) or "").strip() or None
