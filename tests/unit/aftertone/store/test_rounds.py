import json
from dataclasses import replace

import numpy as np

from aftertone.store.rounds import Round
from aftertone_model.evaluation.estimate import Estimate
from aftertone_model.evaluation.metrics import Metrics
from tests.unit.aftertone.records import make_round

HALF = Estimate(value=0.5, low=0.2, high=0.8)
METRICS = Metrics(
    classes=("a", "b"),
    clips=2,
    ua=HALF,
    wa=HALF,
    macro_f1=HALF,
    recall=(0.5, None),
    confusion=((1, 1), (0, 0)),
    ece=0.1,
)


def test_the_record_survives_json() -> None:
    record = make_round(
        3,
        kind="trained",
        labelled={"a": [1.0, 0.0, 0.0]},
        metrics=METRICS,
        plain_metrics=replace(METRICS, ece=0.2),
        seconds={"train": 1.5},
        test_answers={"b": ["happy"], "c": []},
    )
    assert Round.of_json(json.loads(json.dumps(record.model_dump(mode="json")))) == record


def test_a_round_that_kept_less_still_opens() -> None:
    written = json.loads(json.dumps(make_round(3, kind="trained", metrics=METRICS).model_dump(mode="json")))
    del written["test_answers"], written["plain_metrics"], written["metrics"]["basis"], written["metrics"]["speakers"]
    record = Round.of_json(written)
    assert record.test_answers == {}
    assert record.plain_metrics is None
    assert record.metrics is not None
    assert record.metrics.scope == "speakers unknown: no interval for new speakers"


def test_versions_name_the_round_and_differ_between_stores() -> None:
    first, other = make_round(7), make_round(7, created_at="2026-01-01T00:00:01Z")
    assert first.version.startswith("aftertone-007-")
    assert first.version != other.version
    assert first.version == make_round(7).version


def test_answers_to_predict_never_share_the_queues_version() -> None:
    assert make_round(7).guess_version != make_round(7).version


def test_changes_are_new_edited_and_deleted_labels() -> None:
    record = make_round(1, labelled={"a": [1, 0, 0], "b": [0, 1, 0]}, tested={"c": [0, 0, 1]})
    same = {"a": np.array([1.0, 0, 0]), "b": np.array([0, 1.0, 0]), "c": np.array([0, 0, 1.0])}
    assert record.changes(same) == 0
    assert record.changes({**same, "d": np.array([1.0, 0, 0])}) == 1
    assert record.changes({**same, "a": np.array([0.5, 0.5, 0])}) == 1
    assert record.changes({k: v for k, v in same.items() if k != "c"}) == 1
    assert record.labels == 3
