"""A project that asks about regions, from the first marks to what annotators are served and what /predict says.

Each made-up recording is of one emotion in its first half and of another in its second. Annotators mark both halves.
"""

import io
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_studio_sdk.label_interface.interface import LabelInterface

from aftertone.pipeline.source import labelled_clips
from aftertone.server.predict import predict
from aftertone.settings import Settings
from aftertone.status import describe, status
from aftertone.store.project import Store
from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.classification.model import load_model
from aftertone_model.data.clips import file_of
from aftertone_model.learner import Learner
from aftertone_model.runtime import Runtime
from tests.label_configs import AUDIO, MARK, choices
from tests.unit.aftertone.fake_label_studio import FakeLabelStudio
from tests.unit.aftertone.loops import MemoryLoop, connect
from tests.unit.aftertone.records import ADAPTED

HALF = 0.5  # seconds
LABELS = (
    f'<View>{AUDIO}<Labels name="emotion" toName="audio"><Label value="happy"/><Label value="sad"/></Labels></View>'
)
CHOICES = f"<View>{AUDIO}{MARK}{choices('happy', 'sad', perRegion='true', required='true')}</View>"
PITCH = {"happy": 1250, "sad": 200}  # Hz


def halves(task: int) -> tuple[str, str]:
    """The emotions of a task's two halves."""
    return ("happy", "sad") if task % 2 else ("sad", "happy")


class Halves(FakeLabelStudio):
    """Serves recordings of two halves."""

    def audio(self, address: str) -> bytes:
        number = int("".join(filter(str.isdigit, address.rsplit("-", 1)[-1])))
        noise, time = np.random.default_rng(number), np.arange(int(HALF * 16_000)) / 16_000
        parts = [0.4 * np.sin(2 * np.pi * PITCH[e] * (1 + 0.003 * (number % 7)) * time) for e in halves(number)]
        signal = np.concatenate(parts) + 0.01 * noise.standard_normal(2 * len(time))
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setparams((1, 2, 16_000, 0, "NONE", ""))
            out.writeframes((signal * 32767).astype("<i2").tobytes())
        return file.getvalue()


@pytest.fixture(autouse=True)
def _unadapted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments change nothing about TAPT, which takes most of a small loop's time."""
    monkeypatch.setattr("aftertone.store.project.ProjectStore.adaptation", lambda _: ADAPTED)


@pytest.fixture
def make_loop(settings: Settings, nano: Path) -> Callable[..., MemoryLoop]:
    """Makes a loop around a project that asks about regions."""

    def make(config: str = LABELS, tasks: int = 30, **extra: Any) -> MemoryLoop:
        return connect(Halves(tasks=tasks, label_config=config), settings, nano, extra)

    return make


def marked(config: str, *spans: tuple[float, float, str]) -> list[dict[str, Any]]:
    """A result as Label Studio stores it."""
    rows: list[dict[str, Any]] = []
    for number, (start, end, chosen) in enumerate(spans):
        span = {"start": start, "end": end, "channel": 0}
        item = {"id": f"r{number}", "to_name": "audio", "origin": "manual", "original_length": 2 * HALF}
        if config is CHOICES:
            rows.append({**item, "from_name": "region", "type": "labels", "value": {**span, "labels": ["part"]}})
            rows.append({**item, "from_name": "emotion", "type": "choices", "value": {**span, "choices": [chosen]}})
        else:
            rows.append({**item, "from_name": "emotion", "type": "labels", "value": {**span, "labels": [chosen]}})
    return rows


def mark(loop: MemoryLoop, config: str, count: int, by: int = 1) -> list[int]:
    """Mark both halves of the next tasks; the second reaches beyond the end, as a mouse may."""
    tasks = loop.label_studio.queue()[:count]
    for task in tasks:
        first, second = halves(task)
        spans = (0.0, HALF - 0.02, first), (HALF + 0.01, 2 * HALF + 0.3, second)
        loop.label_studio.submit(task, marked(config, *spans), by=by)
    return tasks


@pytest.mark.parametrize("config", [LABELS, CHOICES], ids=["Labels", "Choices per region"])
def test_a_model_trained_on_segments_tells_halves_apart_and_ranks_whole_clips(
    make_loop: Callable[..., MemoryLoop], nano: Path, config: str
) -> None:
    loop = make_loop(config, prelabel=True)
    loop.advance()
    loop.check_queue()
    tasks = mark(loop, config, 12)
    loop.advance()
    loop.check_queue()
    record = loop.last
    assert (record.number, record.kind, record.labels) == (1, "trained", 24)
    assert all("@" in clip for clip in (*record.labelled, *record.tested))
    assert record.tested, "no test clip was asked for"
    assert not {file_of(clip) for clip in record.labelled} & {file_of(clip) for clip in record.tested}
    assert record.metrics is not None
    assert not {*tasks} & set(record.published), "tasks are asked for, not segments"

    learner = Learner(load_backbone(str(nano)), record.label_schema, Runtime(pool=loop.store.pool))
    with loop.store.round_model() as (_, folder):
        model = load_model(folder)
    scores = loop.store.scores(record.number)[1]
    unseen = [(task, loop.store.pool.clip(scores[task].clip)) for task in record.published]
    segments = [(clip.segment(half * HALF, HALF), halves(task)[half]) for task, clip in unseen for half in (0, 1)]
    guesses = learner.predict(model, [segment for segment, _ in segments]).argmax(axis=1)
    assert np.mean([record.classes[guess] == said for guess, (_, said) in zip(guesses, segments, strict=True)]) > 0.9

    kept = {file.stem for file in (loop.store.pool.folder / "features").rglob("*.npy")}
    assert kept == {*loop.store.pool.clip_ids()}, "frames are those of files, and none are computed for segments"

    assert {one.clip.id for one in labelled_clips(loop.store)} == {*record.labelled, *record.tested}, "as a source"

    shown = [row for row in loop.label_studio.state["predictions"] if row["result"]]
    assert len(shown) == len(record.published)
    for row in shown:
        assert LabelInterface(config).validate_prediction(row, return_errors=True) == []
        assert {(item["value"]["start"], item["value"]["end"]) for item in row["result"]} == {(0, 2 * HALF)}
    (answer,) = predict(loop.store, [(tasks[0], True)], config, loop.settings)
    assert [item["type"] for item in answer["result"]] == [item["type"] for item in marked(config, (0, 1, "sad"))]
    assert LabelInterface(config).validate_prediction(answer, return_errors=True) == []
    assert "(single-choice, of regions): happy, sad" in describe(status(Store(loop.settings.model_dir)).projects[0])


def test_what_cannot_be_learned_of_an_annotation_is_counted_and_costs_nothing_else(
    make_loop: Callable[..., MemoryLoop],
) -> None:
    loop = make_loop(test_share=0)
    loop.advance()
    empty, short, *rest = loop.label_studio.queue()
    loop.label_studio.submit(empty, [])
    loop.label_studio.submit(short, marked(LABELS, (0.2, 0.22, "sad"), (0.5, 0.9, "sad"), (1.5, 2, "happy")))
    for task in rest[:5]:
        loop.label_studio.submit(task, marked(LABELS, (0, HALF, halves(task)[0])))
    loop.advance()
    assert loop.problem == ""
    record = loop.last
    assert (record.number, record.labels) == (1, 6)
    assert sum("@0.500+0.400" in clip for clip in record.labelled) == 1
    said = describe(status(Store(loop.settings.model_dir)).projects[0])
    assert "2 regions that were marked are shorter than 0.1 s" in said
    assert "1 tasks were submitted without an answer" in said
    published = loop.last.published
    assert published[-1] == empty or empty not in loop.label_studio.queue()  # asked for last
    assert record.changes({}) == 6


def test_two_annotators_marks_of_the_same_part_are_one_segment_with_two_votes(
    make_loop: Callable[..., MemoryLoop],
) -> None:
    loop = make_loop(test_share=0)
    loop.label_studio.state["project"]["maximum_annotations"] = 2
    loop.advance()
    tasks = loop.label_studio.queue()[:6]
    for task in tasks:
        loop.label_studio.submit(task, marked(LABELS, (0, 0.5, "happy"), (0.6, 0.9, "sad")), by=1)
    loop.advance()
    assert loop.last.number == 0, "clips wait for the second vote"
    for task in tasks:
        said = "sad" if task == tasks[0] else "happy"
        loop.label_studio.submit(task, marked(LABELS, (0.05, 0.52, said)), by=2)
    loop.advance()
    assert loop.problem == ""
    record = loop.last
    assert (record.number, record.labels) == (1, 12)
    assert sorted(record.labelled.values()).count((0.5, 0.5)) == 1
    assert {clip.partition("@")[2] for clip in record.labelled} == {"0.000+0.500", "0.600+0.300"}
    (first, second) = status(Store(loop.settings.model_dir)).projects[0].annotators.each
    assert first.compared == second.compared == 6
    assert first.agreement == pytest.approx(5 / 6)


def test_choices_that_tasks_bring_along_are_learned_by_the_classes_that_options_name(
    settings: Settings, nano: Path
) -> None:
    config = f'<View>{AUDIO}<Choices name="emotion" toName="audio" value="$options"/></View>'
    fake = FakeLabelStudio(label_config=config)
    for _ in range(20):
        fake.add_task(options=[{"value": name} for name in ("neutral", "happy", "sad", "bored")])
    loop = connect(fake, settings, nano, {"classes": ["neutral", "happy", "sad"], "prelabel": True})
    loop.advance()
    loop.label(6)
    fake.annotate(fake.queue()[-1], "bored")
    loop.advance()
    loop.check_queue()
    assert (loop.last.number, loop.last.classes, loop.last.labels) == (1, ("neutral", "happy", "sad"), 6)
    for row in fake.state["predictions"]:
        assert len(row["result"]) == 1
        assert LabelInterface(config).validate_prediction(row, return_errors=True) == []
    assert "'bored', which the label config no longer offers" in describe(
        status(Store(loop.settings.model_dir)).projects[0]
    )
    loop.label_studio.state["models"] = [{"url": "http://b", "extra_params": None}]
    loop.store.request_setup()
    loop.advance()
    assert 'takes its choices from elsewhere (value="$options")' in loop.problem
