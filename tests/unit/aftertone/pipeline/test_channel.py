"""Which channel is heard of a project's audio, from the option to the clips, and what follows when it is changed."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from aftertone.errors import SettingsError
from aftertone.store.records import HeldOut, Sources, Warnings
from tests.unit.aftertone.loops import MemoryLoop
from tests.unit.aftertone.test_steering import steering_of

MakeLoop = Callable[..., MemoryLoop]
RATE = 16_000


def call(number: int) -> bytes:
    """A file in which one speaks on the left for half a second, then another on the right; of odd tasks a mono one."""
    rng = np.random.default_rng(number)
    voices = 0.2 * rng.normal(size=(RATE, 2))
    voices[RATE // 2 :, 0] = voices[: RATE // 2, 1] = 0
    file = io.BytesIO()
    soundfile.write(file, voices if number % 2 == 0 else voices.sum(axis=1), RATE, format="WAV")
    return file.getvalue()


@pytest.fixture
def loop(make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch) -> MemoryLoop:
    loop = make_loop(12)
    monkeypatch.setattr(loop.fetcher, "fetch", lambda task, source, file: file.write(call(task)))
    return loop


def clips(loop: MemoryLoop) -> list[str | None]:
    """By task."""
    sources = loop.store.get(Sources).sources
    return [sources[task["data"]["audio"]].clip for task in loop.label_studio.state["tasks"]]


def test_files_whose_channels_differ_are_told_with_the_option(loop: MemoryLoop) -> None:
    loop.advance()
    assert loop.problem == ""
    (said,) = [one for one in loop.store.get(Warnings).findings if one.key == "channels"]
    assert said.what.startswith("In 6 of 6 audio files with several channels")
    assert "aftertone set 1 channel=left" in said.cure
    steering_of(loop).set(1, {"channel": "left"})
    loop.advance()
    assert not [one for one in loop.store.get(Warnings).findings if one.key == "channels"]


def test_another_channel_is_heard_anew_and_labels_and_the_test_split_stay(loop: MemoryLoop) -> None:
    loop.advance()
    answered = loop.label(6)
    loop.advance()
    before, split = clips(loop), loop.store.get(HeldOut).clips
    assert "fetched and heard again" in steering_of(loop).set(1, {"channel": "right"})
    loop.advance()
    assert loop.problem == ""
    after, moved = clips(loop), loop.store.get(HeldOut).clips
    assert [old == new for old, new in zip(before, after, strict=True)] == [n % 2 == 1 for n in range(1, 13)]
    assert [moved[new or ""] for new in after] == [split[old or ""] for old in before]
    heard = loop.store.pool.waveform(after[1] or "")
    assert np.abs(heard[: RATE // 2]).max() == 0  # the first voice is gone
    assert np.abs(heard[RATE // 2 :]).max() > 0.1
    rounds = loop.store.round_numbers()
    steering_of(loop).train(1)  # from what it hears now
    loop.advance()
    assert loop.store.round_numbers() == [*rounds, rounds[-1] + 1]
    assert loop.last.labels == len(answered)
    assert {*loop.last.labelled, *loop.last.tested} == {after[task - 1] for task in answered}
    loop.check_queue()
    loop.advance()
    assert clips(loop) == after


def test_an_unknown_channel_is_refused(loop: MemoryLoop) -> None:
    with pytest.raises(SettingsError, match=r"CHANNEL='middle'.*'mix', 'left' or 'right'"):
        steering_of(loop).set(1, {"channel": "middle"})
