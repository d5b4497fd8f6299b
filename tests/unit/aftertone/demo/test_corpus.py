"""Corpora: what Label Studio is told, and what only the oracle knows."""

from pathlib import Path

import pytest

from aftertone.demo.corpus import Corpus, read_corpus
from aftertone.demo.errors import DemoError


def manifest(folder: Path, clips: int = 6) -> Path:
    (folder / "deep").mkdir(parents=True)
    rows = ["path,emotion,speaker"]
    for number in range(clips):
        (folder / "deep" / f"a {number}.wav").touch()
        rows.append(f"deep/a {number}.wav,{'happy' if number % 2 else ''},{'anna' if number else ''}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.csv"


def names(corpus: Corpus) -> set[str]:
    return {row.path.name for row in corpus.rows}


def test_tasks_carry_the_address_and_the_speaker_but_never_the_emotion(tmp_path: Path) -> None:
    corpus = read_corpus(manifest(tmp_path / "voices"))
    tasks = corpus.tasks(tmp_path)
    assert tasks[0] == {"audio": f"/data/local-files/?d={corpus.name}/a%200.wav"}
    assert tasks[1] == {"audio": f"/data/local-files/?d={corpus.name}/a%201.wav", "speaker": "anna"}
    assert "happy" not in str(tasks)
    assert corpus.answers(tmp_path) == {task["audio"]: "happy" for task in tasks[1::2]}
    assert corpus.labels == ["happy"]


def test_the_audio_appears_below_the_documents_without_a_copy(tmp_path: Path) -> None:
    corpus = read_corpus(manifest(tmp_path / "voices"))
    documents = tmp_path / "documents"
    documents.mkdir()
    folder = corpus.link(documents)
    assert corpus.link(documents) == folder
    assert (folder / "a 0.wav").is_file()
    assert folder.parent == documents


def test_a_larger_limit_adds_to_a_smaller_one(tmp_path: Path) -> None:
    path = manifest(tmp_path / "voices", clips=40)
    few, more = names(read_corpus(path, limit=5)), names(read_corpus(path, limit=12))
    assert len(few) == 5
    assert few < more
    assert len(names(read_corpus(path, limit=99))) == 40


def test_a_file_listed_twice_is_one_task(tmp_path: Path) -> None:
    path = manifest(tmp_path / "voices")
    path.write_text(path.read_text() + "deep/../deep/a 1.wav,happy,anna\n")
    assert len(read_corpus(path).rows) == 6


def test_another_audio_is_another_corpus_even_if_the_folder_has_the_same_name(tmp_path: Path) -> None:
    one, other = manifest(tmp_path / "x" / "voices"), manifest(tmp_path / "y" / "voices")
    assert read_corpus(one).name != read_corpus(other).name
    assert read_corpus(one).name == read_corpus(one, limit=2).name


def test_an_oracle_gets_only_clips_it_can_label(tmp_path: Path) -> None:
    path = manifest(tmp_path / "voices")
    assert names(read_corpus(path, labelled=True)) == {"a 1.wav", "a 3.wav", "a 5.wav"}
    with pytest.raises(DemoError, match="leave ORACLE out"):
        read_corpus(path.parent, labelled=True)
