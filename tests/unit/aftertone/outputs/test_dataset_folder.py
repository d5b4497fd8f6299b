"""`aftertone export --format dataset`: every clip once, in its split, with labels and without anybody's name."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from huggingface_hub import DatasetCard
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone.errors import StoreError
from aftertone.outputs.dataset_folder import write_dataset
from aftertone.outputs.predictions import labels_of
from tests.unit.aftertone.loops import MemoryLoop


def test_clips_and_labels_of_a_project_are_a_folder_of_splits(
    make_loop: Callable[..., MemoryLoop], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = make_loop(1)
    studio = loop.label_studio
    for number in range(12):
        studio.add_task(
            speaker=f"Ada Example {number % 3}", audio=f"/data/upload/audio-{number + 50}.wav?token=hunter2"
        )
    loop.advance()
    labelled = loop.label(6)
    studio.annotate(labelled[0], "neutral", by=4711)
    skipped = studio.queue()[0]
    studio.annotate(skipped, skip=True)
    loop.advance()
    monkeypatch.setenv("MODEL_DIR", str(loop.settings.model_dir))
    folder = tmp_path / "voices"
    outcome = CliRunner().invoke(app, ["export", "1", "--format", "dataset", "--out", str(folder)])
    assert outcome.exit_code == 0, outcome.output

    card = DatasetCard.load(folder / "README.md")
    configs = card.data.to_dict()["configs"]
    splits = [one["split"] for one in configs[0]["data_files"]]
    assert splits == [split for split in ("train", "test", "unlabelled") if (folder / split).is_dir()]
    assert splits[-1] == "unlabelled"
    tables = {split: pd.read_parquet(folder / split / "metadata.parquet") for split in splits}
    assert sum(map(len, tables.values())) == 13
    held_out = loop.store.load().test_clips
    for split, table in tables.items():
        assert {path.name for path in (folder / split).iterdir()} == {"metadata.parquet", *table["file_name"]}
        for row in table.to_dict("records"):
            clip = row["file_name"].removesuffix(".flac")
            samples, rate = soundfile.read(folder / split / row["file_name"], dtype="float32")
            assert rate == 16_000
            assert samples == pytest.approx(np.asarray(loop.store.pool.waveform(clip)), abs=1e-4)
            assert (row["task"] in labelled) == (split != "unlabelled")
            if row["task"] in labelled:
                assert (clip in held_out) == (split == "test")
                assert sum(row["soft_label"].values()) == pytest.approx(1)
                assert row["voters"] == len(row["votes"]) == (2 if row["task"] == labelled[0] else 1)
    assert skipped in set(tables["unlabelled"]["task"])
    everything = pd.concat(tables.values())
    told = {vote["annotator"] for votes in everything["votes"] for vote in votes}
    assert told == {"annotator-1", "annotator-2"}
    assert set(everything["speaker"].dropna()) == {"speaker-1", "speaker-2", "speaker-3"}
    for path in folder.rglob("*"):
        if path.is_file():
            assert not re.search(rb"Example|4711|hunter2|token", path.read_bytes()), path
    assert (folder / "README.md").stat().st_mode & 0o777 == 0o666 & ~_umask()

    schema, rows = labels_of(loop.store)
    with pytest.raises(StoreError, match="exists already"):
        write_dataset(folder, "again", rows, schema, loop.store.pool)


def _umask() -> int:
    import os

    mask = os.umask(0)
    os.umask(mask)
    return mask
