"""`aftertone export --format dataset`: a project's clips and labels as a folder that Hugging Face `datasets` loads."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from aftertone.errors import StoreError
from aftertone.outputs.dataset_card import dataset_card
from aftertone.outputs.predictions import SKIPPED, TEST, TRAIN, UNLABELLED, Prediction, in_units, label_of
from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.data.files import whole_folder
from aftertone_model.data.pool import Pool
from aftertone_model.labels import LabelSchema, Ratings
from aftertone_model.progress import Progress, silent

METADATA = "metadata.parquet"  # CSV and JSON say of a column without a value no type, and splits must agree in types
SPLITS = {TRAIN: TRAIN, TEST: TEST, UNLABELLED: UNLABELLED, SKIPPED: UNLABELLED}
"""Split of a clip -> split of the folder. What has no audio is left out."""


def write_dataset(
    folder: Path,
    name: str,
    rows: Sequence[Prediction],
    schema: LabelSchema,
    pool: Pool,
    progress: Progress = silent,
) -> Counter[str]:
    """Write a folder per split with the clips (FLAC) and their metadata, and README.md; whole or not at all.

    Nobody's name or number goes with it: annotators and speakers are numbered in the order in which they are met.

    Args:
        folder: must not exist yet.
        name: of the data set, as a title.
        rows: every clip, once; those without audio are left out.
        pool: holds their samples.

    Returns:
        Clips of each split.

    Raises:
        StoreError: `folder` exists, no clip has audio, or pyarrow is missing.
    """
    if folder.exists() or folder.is_symlink():
        raise StoreError(f"{folder} exists already. Name another folder with --out, or remove it.")
    arrow = _arrow()
    names = _Names()
    held = [(row, SPLITS[row.split]) for row in rows if row.split in SPLITS and row.clip is not None]
    if not held:
        raise StoreError(f"{name} has no clip yet whose audio was fetched, so there is nothing to write.")
    lines: dict[str, list[dict[str, Any]]] = {}
    with whole_folder(folder) as scratch:
        for number, (row, split) in enumerate(held):
            progress("write clips", number, len(held))
            line = _line(row, schema, names)
            (scratch / split).mkdir(exist_ok=True)
            _write_clip(scratch / split / line["file_name"], pool, row)
            lines.setdefault(split, []).append(line)
        progress("write clips", len(held), len(held))
        for split, found in lines.items():
            table = arrow.Table.from_pylist(found, schema=_columns(arrow, schema))
            arrow.parquet.write_table(table, scratch / split / METADATA)
        card = dataset_card(name, lines, schema, annotators=len(names.annotators), speakers=len(names.speakers))
        (scratch / "README.md").write_text(card, encoding="utf-8")
    return Counter({split: len(found) for split, found in lines.items()})


class _Names:
    """What stands for people: `annotator-1`, `speaker-1` and so on."""

    def __init__(self) -> None:
        self.annotators: dict[str, str] = {}
        self.speakers: dict[str, str] = {}

    def annotator(self, who: str) -> str:
        return self.annotators.setdefault(who, f"annotator-{len(self.annotators) + 1}")

    def speaker(self, who: str | None) -> str | None:
        return None if who is None else self.speakers.setdefault(who, f"speaker-{len(self.speakers) + 1}")


def _line(row: Prediction, schema: LabelSchema, names: _Names) -> dict[str, Any]:
    assert row.clip is not None
    target: Mapping[str, float | None] | None = None
    if row.target is not None:
        numbers = in_units(row.target.tolist(), schema)
        target = {c: None if np.isnan(x) else x for c, x in zip(schema.classes, numbers, strict=True)}
    return {
        "file_name": f"{row.clip.id}.flac",
        "task": row.tasks[0],
        "seconds": row.clip.seconds,
        "speaker": names.speaker(row.clip.speaker),
        "label": "; ".join(label_of(row, schema)) or None,
        target_column(schema): target,
        "voters": row.voters,
        "votes": [{"annotator": names.annotator(who), "chosen": list(words)} for who, words in row.votes.items()],
    }


def target_column(schema: LabelSchema) -> str:
    """Name of the column with a number for each class or dimension."""
    return "ratings" if isinstance(schema, Ratings) else "soft_label"


def _columns(arrow: Any, schema: LabelSchema) -> Any:
    text, number = arrow.string(), arrow.float64()
    vote = arrow.struct([("annotator", text), ("chosen", arrow.list_(text))])
    return arrow.schema(
        [
            ("file_name", text),
            ("task", arrow.int64()),
            ("seconds", number),
            ("speaker", text),
            ("label", text),
            (target_column(schema), arrow.struct([(name, number) for name in schema.classes])),
            ("voters", arrow.int64()),
            ("votes", arrow.list_(vote)),
        ]
    )


def _write_clip(path: Path, pool: Pool, row: Prediction) -> None:
    assert row.clip is not None
    samples = np.clip(pool.waveform(row.clip.id), -1, 1)
    soundfile.write(path, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise StoreError("A data set's metadata is Parquet, which needs pyarrow: `pip install pyarrow`.") from None
    return pyarrow
