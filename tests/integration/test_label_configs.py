"""Every shape of label config in the real Label Studio, and what is said to those that can't be used."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aftertone.demo.environment import label_studio_command
from aftertone.errors import LabelStudioError
from aftertone.labelstudio.label_config import parse_label_config
from aftertone.labelstudio.snapshot import read_snapshot
from aftertone.labelstudio.tasks import TaskCache
from aftertone_model.votes.regions import Region
from benchmarks.gallery import gallery, page
from tests.integration.loop import Loop
from tests.integration.server import Server
from tests.integration.test_connection import connect, connection, serve
from tests.label_configs import AUDIO, HAPPY_SAD, SECONDS, SHAPES, Shape, choices

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_prediction_is_taken_and_an_annotation_means_what_was_answered(label_studio: Server, shape: Shape) -> None:
    session = label_studio.session
    project = session.post("/api/projects", {"title": shape.name, "label_config": shape.config})["id"]
    session.post(
        f"/api/projects/{project}/import",
        [{**shape.data, shape.source: f"http://nowhere.test/{n}.wav"} for n in (1, 2)],
    )
    predicted, annotated = sorted(session.task_moments(project))

    result = parse_label_config(shape.config, shape.question, shape.given).result(shape.answer, SECONDS)
    row = {"task": predicted, "model_version": "aftertone-001-abcdef", "score": 0.5, "result": result}
    assert session.import_predictions(project, [row]) == 1
    (stored,) = session.get("/api/predictions", project=project)
    assert [item["value"] for item in stored["result"]] == [item["value"] for item in shape.result] * shape.shown

    session.post(f"/api/tasks/{annotated}/annotations/", {"result": shape.result})
    snapshot, _ = read_snapshot(session, project, TaskCache(), question=shape.question, classes=shape.given)
    assert snapshot.tasks[annotated].source == "http://nowhere.test/2.wav"
    answer = snapshot.tasks[annotated].answer
    assert list(answer.by.values()) == [shape.answer]
    whole = Region(start=0, end=SECONDS, chosen=shape.answer)
    assert list(answer.regions.values()) == [(whole,)] * shape.of_regions


def status() -> str:
    command = [sys.executable, "-m", "aftertone", "status"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_what_can_not_be_used_is_refused_when_it_is_connected_and_status_says_why(
    make_loop: Any, tmp_path: Path
) -> None:
    with serve(make_loop, tmp_path) as (loop, url):
        assert isinstance(loop, Loop)
        config = f"<View>{AUDIO}{HAPPY_SAD}{choices('up', 'down', name='mood')}</View>"
        loop.server.session.patch(f"/api/projects/{loop.project}/", {"label_config": config})
        for options, said in (
            (None, "The label config asks 2 questions that could be learned"),
            ({"question": "moood"}, 'The label config asks no question "moood"'),
            ('{"question": ', "Extra params of the connection are not JSON"),
            ({"questions": "mood"}, "questions can't be set there"),
            ({"question": "mood", "strategy": "foo"}, "There is no strategy 'foo'"),
        ):
            with pytest.raises(LabelStudioError, match="400"):
                connect(loop, url, extra_params=options)
            shown = status()
            assert f"Project {loop.project} can't be used: " in shown
            assert said in shown
        connect(loop, url, extra_params={"question": "mood"})
        assert connection(loop).extra_params == {"question": "mood"}
        shown = status()
        assert "can't be used" not in shown
        assert 'learns Choices "mood" (single-choice): up, down' in shown


def test_the_page_of_label_configs_is_what_the_gallery_gives() -> None:
    command = label_studio_command(REPOSITORY / ".demo" / "label-studio-env")
    assert page(gallery(command)) == (REPOSITORY / "docs" / "label-configs.md").read_text()
