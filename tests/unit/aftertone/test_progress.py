"""ProgressBars: a stage after the other, and none left behind."""

import pytest

from aftertone.progress import ProgressBars


def test_a_bar_per_stage_and_nothing_left(capsys: pytest.CaptureFixture[str]) -> None:
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
