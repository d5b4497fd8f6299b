"""The report: one record per round, and one line of it for people."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from aftertone.demo.oracle import Serving
from aftertone.demo.report import line, report_round, write_report
from aftertone.store.rounds import Round
from aftertone_model.evaluation.estimate import Estimate
from aftertone_model.evaluation.metrics import Metrics

UA = Estimate(value=0.625, low=0.5, high=0.75)
TEST_METRICS = Metrics(
    classes=("happy", "sad"),
    clips=16,
    ua=UA,
    wa=UA,
    macro_f1=UA,
    recall=(0.5, 0.75),
    confusion=((4, 4), (2, 6)),
    ece=0.1,
    basis="speakers",
    speakers=8,
)


def a_round(metrics: Metrics | None) -> Round:
    return Round(
        number=2,
        kind="trained",
        created_at="2026-11-21T00:00:00Z",
        seed=0,
        strategy="entropy",
        classes=("happy", "sad"),
        batch=20,
        published=(3, 1),
        labelled={"a": (1.0, 0.0)},
        metrics=metrics,
        seconds={"train": 2.5},
    )


def test_a_round_in_one_line() -> None:
    served = [Serving(round=2, annotator=0, task=3, expected=3), Serving(round=1, annotator=0, task=9, expected=8)]
    assert line(report_round(a_round(TEST_METRICS), served)) == (
        "  round 2       1 labels   UA 0.62 (95 % interval 0.50 to 0.75)   WA 0.62   "
        "on 16 held-out clips (over 8 speakers)   1 served, in order"
    )
    assert line(report_round(a_round(None), ())) == "  round 2       1 labels   no label in the held-out test set yet"


@pytest.mark.parametrize(("speakers", "said"), [(None, "speakers unknown"), (1, "1 voice"), (3, "3 voices")])
def test_too_few_speakers_are_no_interval_for_new_ones(speakers: int | None, said: str) -> None:
    metrics = replace(TEST_METRICS, basis="clips", speakers=speakers)
    text = line(report_round(a_round(metrics), ()))
    assert text.endswith(f"on 16 held-out clips ({said}: no interval for new speakers)")


def test_the_file_says_what_was_measured_and_where(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    served = [Serving(round=2, annotator=1, task=3, expected=1)]
    write_report(
        path,
        [report_round(a_round(TEST_METRICS), served)],
        label_studio="1.23.2",
        corpus="voices",
        clips=40,
        seconds=61.25,
        export="x",
    )
    report = json.loads(path.read_text())
    (only,) = report["rounds"]
    assert only["test"]["ua"] == {"value": 0.625, "low": 0.5, "high": 0.75}
    assert (only["test"]["clips"], only["test"]["scope"]) == (16, "over 8 speakers")
    assert (only["labels"], only["seconds"]) == (1, {"train": 2.5})
    assert (only["served"], only["served_as_published"]) == (1, False)
    assert only["out_of_order"] == [{"round": 2, "annotator": 1, "task": 3, "expected": 1}]
    assert report["versions"]["label-studio"] == "1.23.2"
    assert report["machine"]["cores"] > 0
