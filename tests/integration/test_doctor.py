"""`aftertone doctor` in the real Label Studio: what was broken there by hand is found, and mended where it can be."""

from pathlib import Path
from typing import Any

import pytest

from aftertone.examination import examine_all
from aftertone.labelstudio.tasks import UNCERTAINTY
from aftertone.store.project import Store
from aftertone.store.records import Warnings
from tests.integration.loop import Loop
from tests.integration.server import tone, wav
from tests.integration.test_connection import connect, serve

MakeLoop = Any


@pytest.fixture
def served_loop(make_loop: MakeLoop, tmp_path: Path) -> Any:
    """A project of twelve clips, connected by URL, whose seed set is published."""
    with serve(make_loop, tmp_path) as (loop, url):
        files = {f"clip-{number}.wav": wav(tone(number)) for number in range(12)}
        loop.server.add_tasks(loop.project, loop.server.folder(loop.project), files)
        connect(loop, url)
        loop.advance()
        loop.check_queue()
        yield loop


def found(loop: Loop, *, mend: bool = False) -> dict[str, str]:
    """What is wrong with the project, by key of the check: what was done about it."""
    rows = examine_all(loop.settings, Store(loop.settings.model_dir), loop.project, mend=mend)
    return {row.finding.key: row.mended for row in rows if row.project is not None}


def test_what_was_broken_by_hand_is_found_and_mended(served_loop: Loop) -> None:
    loop, session = served_loop, served_loop.server.session
    assert found(loop) == {}
    (hook,) = session.get("/api/webhooks/", project=loop.project)
    session.patch(
        f"/api/webhooks/{hook['id']}/",
        {"url": hook["url"], "is_active": False, "send_for_all_actions": False, "actions": ["TASKS_CREATED"]},
    )
    session.post("/api/webhooks/", {"project": loop.project, "url": hook["url"]})
    loop.server.session.patch(
        f"/api/projects/{loop.project}/", {"model_version": "", "sampling": "Sequential sampling"}
    )
    broken = {"sampling", "model-version", "webhook-actions", "webhook-doubled", "webhook-secret"}
    assert found(loop).keys() == broken
    assert all(found(loop, mend=True).values())
    assert found(loop) == {}
    (hook,) = session.get("/api/webhooks/", project=loop.project)
    assert hook["is_active"]
    assert hook["send_for_all_actions"]
    assert loop.project_row()["sampling"] == UNCERTAINTY
    loop.advance()
    loop.check_queue()
    assert loop.store.get(Warnings).findings == ()


def test_what_a_person_must_change_is_explained(served_loop: Loop) -> None:
    loop, session = served_loop, served_loop.server.session
    data = {"title": "By id", "ordering": ["tasks:id"], "filters": {"conjunction": "and", "items": []}}
    session.post("/api/dm/views/", {"project": loop.project, "data": data})
    session.patch(
        f"/api/projects/{loop.project}/",
        {
            "maximum_annotations": 2,
            "start_training_on_annotation_update": True,
            "evaluate_predictions_automatically": True,
            "skip_queue": "IGNORE_SKIPPED",
        },
    )
    loop.anna.choose(loop.store.round(0).published[0], "zebra")
    task = loop.store.round(0).published[1]
    loop.anna.session.post(f"/api/tasks/{task}/annotations/", {"result": []})
    loop.advance()
    expected = {"tab-order", "overlap", "training-on-submission", "predicting-on-listing", "ignored-skips"}
    expected |= {"unknown-labels", "empty-answers"}
    assert {finding.key for finding in loop.store.get(Warnings).findings} == expected
    assert found(loop).keys() == expected
