"""ProgressBars: a stage after the other, and none left behind; whole lines where nobody watches."""

import sys
from types import SimpleNamespace

import pytest

from aftertone import progress
from aftertone.progress import ProgressBars


def test_a_bar_per_stage_and_nothing_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bars = ProgressBars()
    for done in range(4):
        bars("decode", done, 3)
    for done in range(3):
        bars("adapt", done, 2)
    bars.close()
    bars.close()
    drawn = capsys.readouterr().err
    assert drawn.index("decode") < drawn.index("adapt")
    assert drawn.rstrip(" \r\n") != drawn  # the last one was wiped


def test_a_log_gets_whole_lines_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    bars = ProgressBars()
    for second in range(125):
        clock[0] = float(second)
        bars(("decode", "extract")[second % 2], second, 125)  # stages may take turns
    bars.close()
    told = "decode: 30 of 125\ndecode: 60 of 125\ndecode: 90 of 125\ndecode: 120 of 125\n"
    assert capsys.readouterr().err == told
