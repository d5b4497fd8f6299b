"""Votes drawn have the confusion that was asked for, and are the same whoever asks."""

from pathlib import Path

import numpy as np
import pytest

from aftertone_model.errors import SimulationError
from aftertone_model.simulate.crowd import draw_vote, parse_crowd, turns

CLASSES = ("angry", "happy", "neutral")
MATRIX = """true,angry,happy,neutral
angry,8,1,1
happy,0,5,5
neutral,1,0,9
"""


def drawn(crowd, annotator: int, truth: int, clips: int = 3_000) -> np.ndarray:
    confusions = crowd.confusions(CLASSES)
    votes = [draw_vote(f"clip {n}", annotator, truth, confusions, seed=0) for n in range(clips)]
    return np.bincount(votes, minlength=3) / clips


def test_votes_err_as_often_as_the_rate_and_evenly() -> None:
    crowd = parse_crowd(3, "0.1,0.3,0.5")
    for annotator, rate in enumerate((0.1, 0.3, 0.5)):
        assert drawn(crowd, annotator, 1) == pytest.approx([rate / 2, 1 - rate, rate / 2], abs=0.03)


def test_votes_follow_a_matrix_and_a_matrix_for_each_annotator(tmp_path: Path) -> None:
    one = tmp_path / "one.csv"
    one.write_text(MATRIX)
    assert drawn(parse_crowd(2, str(one)), 1, 0) == pytest.approx([0.8, 0.1, 0.1], abs=0.03)
    assert drawn(parse_crowd(2, str(one)), 0, 1) == pytest.approx([0, 0.5, 0.5], abs=0.03)
    two = tmp_path / "two.csv"
    lines = MATRIX.splitlines()
    perfect = ["x,angry,1,0,0", "x,happy,0,1,0", "x,neutral,0,0,1"]
    two.write_text("\n".join([f"annotator,{lines[0]}", *perfect, *(f"y,{line}" for line in lines[1:])]))
    crowd = parse_crowd(2, str(two))
    assert drawn(crowd, 0, 0).tolist() == [1, 0, 0]
    assert drawn(crowd, 1, 0) == pytest.approx([0.8, 0.1, 0.1], abs=0.03)


def test_an_annotator_says_the_same_whoever_asks_and_takes_turns_alike() -> None:
    confusions = parse_crowd(3, "0.5").confusions(CLASSES)
    votes = {(clip, who): draw_vote(clip, who, 0, confusions, 4) for clip in "abc" for who in range(3)}
    assert all(draw_vote(clip, who, 0, confusions, 4) == vote for (clip, who), vote in reversed(votes.items()))
    orders = [tuple(turns(f"clip {n}", 3, 4)) for n in range(60)]
    assert {order[0] for order in orders} == {0, 1, 2}
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    others = [draw_vote(f"clip {n}", who, 0, confusions, 4) for who in (0, 1) for n in range(50)]
    assert others[:50] != others[50:]  # annotators err independently


def test_what_is_no_confusion_is_refused(tmp_path: Path) -> None:
    for text in ("often", "1.5", "0.1,x", "nan", "0.1,nan", "inf", str(tmp_path / "none.csv")):
        with pytest.raises(SimulationError):
            parse_crowd(2, text)
    bad = tmp_path / "bad.csv"
    bad.write_text("angry,happy\n1,0\n")
    with pytest.raises(SimulationError, match="no confusion matrix"):
        parse_crowd(2, str(bad))
    bad.write_text(MATRIX.replace("neutral,1,0,9\n", ""))
    with pytest.raises(SimulationError, match="says nothing of neutral"):
        parse_crowd(2, str(bad)).confusions(CLASSES)


@pytest.mark.parametrize("weight", ["nan", "inf", "-1"])
def test_a_matrix_has_finite_weights_and_is_a_file(tmp_path: Path, weight: str) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(MATRIX.replace("neutral,1,0,9", f"neutral,1,{weight},9"))
    with pytest.raises(SimulationError, match="line 4 has a number that is negative or not finite"):
        parse_crowd(2, str(bad))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SimulationError, match=r"folder\.csv, which --confusion names, is a folder"):
        parse_crowd(2, str(tmp_path / "folder.csv"))
