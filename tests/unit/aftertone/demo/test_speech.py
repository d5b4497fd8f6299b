"""The spoken corpus: the same every time, whatever its size, and told apart by prosody."""

import csv
import wave
from pathlib import Path

import numpy as np
import pytest

from aftertone.demo.errors import DemoError
from aftertone.demo.speech import PROSODY, speak_corpus


def rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def loudness(path: Path) -> float:
    with wave.open(str(path)) as file:
        assert file.getnchannels() == 1
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return float(np.sqrt(np.mean((samples / 32768.0) ** 2)))


def test_clip_number_i_is_the_same_in_every_corpus(tmp_path: Path) -> None:
    told: list[int] = []
    one = speak_corpus(tmp_path / "one", 24, seed=0, spoken=told.append)
    other = speak_corpus(tmp_path / "other", 8, seed=0, spoken=lambda _done: None)
    assert told == list(range(1, 25))
    assert rows(one)[:8] == rows(other)
    for row in rows(other):
        assert (one.parent / row["path"]).read_bytes() == (other.parent / row["path"]).read_bytes()


def test_emotion_is_heard_and_not_in_the_name(tmp_path: Path) -> None:
    spoken = rows(speak_corpus(tmp_path, 60, seed=1, spoken=lambda _done: None))
    by_emotion = {
        emotion: np.mean([loudness(tmp_path / row["path"]) for row in spoken if row["emotion"] == emotion])
        for emotion in PROSODY
    }
    assert by_emotion["angry"] > by_emotion["neutral"] > by_emotion["sad"]
    assert not any(emotion in row["path"] for row in spoken for emotion in PROSODY)
    assert len({row["speaker"] for row in spoken}) > 10


def test_a_corpus_that_is_large_enough_is_left_alone(tmp_path: Path) -> None:
    manifest = speak_corpus(tmp_path, 3, seed=0, spoken=lambda _done: None)
    before = manifest.stat().st_mtime_ns
    speak_corpus(tmp_path, 2, seed=0, spoken=lambda _done: None)
    assert manifest.stat().st_mtime_ns == before


def test_a_synthesiser_that_fails_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="give AUDIO="):
        speak_corpus(tmp_path, 1, seed=-1, spoken=lambda _done: None)  # numpy takes no negative seed
