"""The report: one record per round, and one line of it for people."""

import json
from pathlib import Path

from aftertone.demo.oracle import Serving
from aftertone.demo.report import line, report_round, write_report
from aftertone.store.rounds import Round
from aftertone_model.evaluation.metrics import Estimate, Metrics

UA = Estimate(value=0.625, low=0.5, high=0.75)
EXAM = Metrics(
    classes=("happy", "sad"),
    clips=16,
    ua=UA,
    wa=UA,
    macro_f1=UA,
    recall=(0.5, 0.75),
    confusion=((4, 4), (2, 6)),
    ece=0.1,
)


def a_round(exam: Metrics | None) -> Round:
    return Round(
        number=2,
        kind="trained",
        created_at="2026-11-21T00:00:00Z",
        seed=0,
        strategy="entropy",
        classes=("happy", "sad"),
        batch=20,
        published=(3, 1),
        labelled={"a": [1.0, 0.0]},
        metrics=exam,
        seconds={"train": 2.5},
    )


def test_a_round_in_one_line() -> None:
    served = [Serving(round=2, annotator=0, task=3, expected=3), Serving(round=1, annotator=0, task=9, expected=8)]
    text = line(report_round(a_round(EXAM), served))
    assert (
        text
        == "  round 2       1 labels   UA 0.62 (0.50 to 0.75)   WA 0.62   exam of 16   1 served, in the published order"
    )
    assert line(report_round(a_round(None), ())) == "  round 2       1 labels   no exam labels yet"


def test_the_file_says_what_was_measured_and_where(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    served = [Serving(round=2, annotator=1, task=3, expected=1)]
    write_report(
        path,
        [report_round(a_round(EXAM), served)],
        label_studio="1.23.2",
        corpus="voices",
        clips=40,
        seconds=61.25,
        export="x",
    )
    report = json.loads(path.read_text())
    (only,) = report["rounds"]
    assert only["exam"]["ua"] == {"value": 0.625, "low": 0.5, "high": 0.75}
    assert (only["labels"], only["seconds"]) == (1, {"train": 2.5})
    assert (only["served"], only["served_as_published"]) == (1, False)
    assert only["strays"] == [{"round": 2, "annotator": 1, "task": 3, "expected": 1}]
    assert report["versions"]["label-studio"] == "1.23.2"
    assert report["machine"]["cores"] > 0
