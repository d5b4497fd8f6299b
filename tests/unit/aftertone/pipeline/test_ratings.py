"""A project that asks for ratings, from its first labels to what annotators are served and what /predict says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from label_studio_sdk.label_interface.interface import LabelInterface

from aftertone.export import export_model
from aftertone.labelstudio.label_config import parse_label_config
from aftertone.server.predict import predict
from aftertone.settings import Settings
from aftertone.status import describe, status
from aftertone.store.project import Store
from aftertone_model.evaluation.rating_metrics import RatingMetrics
from tests.unit.aftertone.fake_label_studio import FakeLabelStudio
from tests.unit.aftertone.loops import MemoryLoop, connect

CONFIG = """<View><Audio name="audio" value="$audio"/><Rating name="valence" toName="audio" maxRating="5"/>
<Number name="arousal" toName="audio" min="0" max="100"/></View>"""


@pytest.fixture
def make_loop(settings: Settings, nano: Path) -> Callable[..., MemoryLoop]:
    """Makes a loop around a project that asks for valence and arousal."""
    return lambda tasks=30, **extra: connect(
        FakeLabelStudio(tasks=tasks, label_config=CONFIG), settings, nano, {"strategy": "", **extra}
    )


def rate(loop: MemoryLoop, count: int, by: int = 1) -> list[int]:
    """Rate the next tasks of the queue by their pitch; every fifth without valence."""
    tasks = loop.label_studio.queue()[:count]
    for task in tasks:
        loop.label_studio.submit(task, ratings(task), by=by)
    return tasks


def ratings(task: int) -> list[dict[str, Any]]:
    given: list[tuple[str, str, float]] = [("arousal", "number", 45.5 * (task % 3) + 2)]
    if task % 5:
        given.append(("valence", "rating", 5 - 2 * (task % 3)))
    return [
        {"from_name": name, "to_name": "audio", "type": kind, "value": {kind: value}} for name, kind, value in given
    ]


def test_from_ratings_to_ranking_predictions_and_export(make_loop: Callable[..., MemoryLoop], tmp_path: Path) -> None:
    loop = make_loop()
    loop.advance()
    loop.check_queue()
    for _ in range(3):
        rate(loop, 6)
        loop.advance()
        loop.check_queue()
    record = loop.last
    assert (record.kind, record.strategy, record.label_kind) == ("trained", "igs", "ratings")
    assert record.classes == ("valence", "arousal")
    assert [(scale.low, scale.high) for scale in record.scales] == [(1, 5), (0, 100)]
    assert record.labels == 18
    assert isinstance(record.metrics, RatingMetrics)
    assert isinstance(loop.store.round(record.number).metrics, RatingMetrics)
    assert any(label[0] != label[0] for label in record.labelled.values()), "a clip without valence is learned from"
    assert record.changes({}) == 18

    loop.advance()
    assert loop.last == record, "missing ratings are no change"
    assert "CCC" in describe(status(Store(loop.settings.model_dir)).projects[0])

    shown = loop.settings.model_copy(update={"serve_predictions": True})
    (answer,) = predict(loop.store, [(record.published[0], False)], CONFIG, shown)
    assert answer["score"] == 0
    assert answer["model_version"] == record.guess_version
    assert {row["type"] for row in answer["result"]} == {"rating", "number"}
    assert LabelInterface(CONFIG).validate_prediction(answer, return_errors=True) == []
    words = parse_label_config(CONFIG).chosen(answer)
    assert all(map(record.label_schema.knows, words))

    export_model(loop.store, loop.settings, tmp_path / "export")
    card = (tmp_path / "export" / "README.md").read_text()
    assert "valence (1 to 5), arousal (0 to 100)" in " ".join(card.split())


def test_shown_predictions_are_ratings(make_loop: Callable[..., MemoryLoop]) -> None:
    loop = make_loop(prelabel=True)
    loop.advance()
    rate(loop, 6)
    loop.advance()
    loop.check_queue()
    shown = [row for row in loop.label_studio.state["predictions"] if row["result"]]
    assert shown
    for row in shown:
        assert LabelInterface(CONFIG).validate_prediction(row, return_errors=True) == []


def test_two_annotators_ratings_are_averaged(make_loop: Callable[..., MemoryLoop]) -> None:
    loop = make_loop(test_share=0)
    loop.advance()
    first, *_ = rate(loop, 6)
    loop.label_studio.submit(
        first, [{"from_name": "arousal", "to_name": "audio", "type": "number", "value": {"number": 100}}], by=2
    )
    loop.advance()
    clip = next(score.clip for score in loop.store.scores(1)[1].values() if score.task == first)
    arousal = loop.last.labelled[clip][1]
    assert arousal == pytest.approx((45.5 * (first % 3) + 2 + 100) / 200)


def test_a_strategy_of_classes_is_a_problem_before_anybody_labels(make_loop: Callable[..., MemoryLoop]) -> None:
    loop = make_loop(strategy="margin")
    loop.advance()
    assert "The strategy 'margin' can't rank by ratings" in loop.problem
    assert "igs" in loop.problem


def test_another_scale_is_another_question(make_loop: Callable[..., MemoryLoop]) -> None:
    loop = make_loop()
    loop.advance()
    rate(loop, 6)
    loop.advance()
    assert loop.last.number == 1
    project = loop.label_studio.state["project"]
    project["label_config"] = CONFIG.replace('maxRating="5"', 'maxRating="9"')
    loop.advance()
    assert loop.last.number == 2
    assert loop.last.scales[0].high == 9
