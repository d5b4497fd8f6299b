"""Manifests: a CSV or a folder becomes rows, and a bad line is named."""

from pathlib import Path

import pytest

from aftertone_model.data.manifest import ManifestError, Row, read_manifest


def write(folder: Path, text: str) -> Path:
    (folder / "a.wav").touch()
    manifest = folder / "manifest.csv"
    manifest.write_text(text, encoding="utf-8")
    return manifest


def test_columns_are_read_and_attributes_kept(tmp_path: Path) -> None:
    manifest = write(tmp_path, "\ufeffpath,corpus,speaker,emotion,duration_s\na.wav,x,s1,happy,2.5\na.wav,x,,,long\n")
    path = tmp_path / "a.wav"
    first = Row(path=path, emotion="happy", speaker="s1", seconds=2.5, line=2, attributes={"corpus": "x"})
    assert read_manifest(manifest) == [first, Row(path=path, line=3, attributes={"corpus": "x"})]
    assert read_manifest(manifest, ["duration_s"])[0].attributes == {"corpus": "x", "duration_s": "2.5"}


def test_a_folder_gives_its_audio_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.WAV", "deep/a.flac", "notes.txt"):
        (tmp_path / name).touch()
    assert [row.path.name for row in read_manifest(tmp_path)] == ["b.WAV", "a.flac"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("file,emotion\na.wav,sad\n", "no column `path`"),
        ("path\n", "no rows"),
        ("path,emotion\na.wav,sad\nb.wav,sad\n,sad\n", "line 3 names b.wav, which is no file; line 4 has no path"),
    ],
)
def test_bad_manifests_name_what_is_wrong(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ManifestError, match=reason):
        read_manifest(write(tmp_path, text))


def test_missing_or_empty_places(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="There is no"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(ManifestError, match="no audio files"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("told", "seconds"), [("2.5", 2.5), ("nan", None), ("inf", None), ("-1", None), ("0", None), ("long", None)]
)
def test_a_duration_that_is_no_length_of_time_is_unknown(tmp_path: Path, told: str, seconds: float | None) -> None:
    assert read_manifest(write(tmp_path, f"path,duration_s\na.wav,{told}\n"))[0].seconds == seconds
