"""Who is shown what, and whose answers count, in a real Label Studio."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from aftertone.labelstudio.relabel_tab import TITLE
from aftertone.status import status
from aftertone.store.project import Store
from aftertone.store.records import Sources, Tasks, Warnings
from tests.integration.loop import LABELS, Loop
from tests.integration.server import tone, wav
from tests.integration.test_connection import MakeLoop, connect, serve, work


def answers(loop: Loop) -> dict[int, Any]:
    """What each task's annotations add up to, as last read."""
    return {task.id: task.answer for task in loop.store.get(Tasks).cache.tasks}


def shown(loop: Loop) -> dict[str, Any]:
    """The project in `aftertone status --json`."""
    return status(Store(loop.settings.model_dir), [loop.project]).projects[0].model_dump()


def open_task(loop: Loop, task: int) -> list[dict[str, Any]]:
    """Open a task in the Data Manager; returns the predictions that fill in its form."""
    return loop.anna.session.get(f"/api/tasks/{task}/")["predictions"]


def action(loop: Loop, name: str, tasks: list[int], **fields: Any) -> None:
    """Run an action of the Data Manager on some tasks."""
    body = {"selectedItems": {"all": False, "included": tasks}, **fields}
    loop.server.session.post("/api/dm/actions", body, id=name, project=loop.project)


def test_nobody_is_shown_a_prediction_and_what_nobody_answered_counts_for_nothing(
    make_loop: MakeLoop, tmp_path: Path
) -> None:
    with serve(make_loop, tmp_path) as (made, url):
        loop = replace(made, settings=made.settings.model_copy(update={"queue_factor": 1}))
        files = {f"{number}.wav": wav(tone(number)) for number in range(22)}
        loop.server.add_tasks(loop.project, loop.server.folder(loop.project), files)
        connect(loop, url)
        loop.advance()
        labelled = loop.label(6)
        work(loop)
        loop.advance()
        record = loop.store.rounds()[-1]
        assert record.kind == "trained"
        unserved = [task for task in loop.server.tasks(loop.project) if task not in {*labelled, *record.published}]

        (prediction,) = open_task(loop, unserved[0])
        assert (prediction["result"], prediction["model_version"]) == ([], record.hidden_version)
        action(loop, "retrieve_tasks_predictions", unserved)
        assert not any(row["result"] for row in loop.predictions())
        (prediction,) = open_task(loop, labelled[0])  # whoever has answered may compare
        assert prediction["result"][0]["value"]["choices"]

        # Forms that came filled in, as with PRELABEL, are submitted as they are.
        item = {"from_name": "emotion", "to_name": "audio", "type": "choices", "value": {"choices": ["happy"]}}
        rows = [{"task": task, "model_version": "gpt", "score": 0.5, "result": [item]} for task in unserved[1:3]]
        assert loop.server.session.import_predictions(loop.project, rows) == 2
        body = {"result": [{**item, "origin": "prediction"}], "lead_time": 1.0}
        loop.anna.session.post(f"/api/tasks/{unserved[0]}/annotations/", body)
        # Annotations are made of predictions: of one with a label, and of the ranking, which has none.
        action(loop, "predictions_to_annotations", unserved[1:2], model_version="gpt")
        action(loop, "predictions_to_annotations", [record.published[0]], model_version=record.version)
        work(loop)
        loop.advance()
        loop.server.session.delete_version(loop.project, "gpt")  # after which nothing tells what the annotation was
        loop.anna.skip(unserved[1])
        work(loop)
        loop.advance()
        untouched = (unserved[0], unserved[1], record.published[0])
        assert [(answers(loop)[task].given, answers(loop)[task].untouched) for task in untouched] == [(False, 1)] * 3
        assert shown(loop)["untouched"] == {"annotations": 3, "made": 2, "tasks": 3}
        assert shown(loop)["answered"] == 6
        (told,) = [warning for warning in loop.store.get(Warnings).warnings if "as it was shown" in warning]
        assert "3 annotations" in told
        assert "3 tasks that have no other answer" in told

        loop.label(5)
        for task in unserved[3:4]:
            loop.anna.choose(task, "sad")
        work(loop)
        loop.advance()
        last = loop.store.rounds()[-1]
        assert (last.number, last.labels) == (2, 12)
        assert {row["model_version"] for row in loop.predictions()} == {last.version}
        loop.check_queue()


def test_with_two_annotators_a_task_three_accounts_train_on_complete_clips_alone(make_loop: MakeLoop) -> None:
    loop: Loop = make_loop(36)
    people = (loop.anna, loop.server.annotator(), loop.server.annotator())
    loop.server.session.patch(f"/api/projects/{loop.project}/", {"maximum_annotations": 2})
    loop.advance()
    voted: dict[int, int] = {}
    while sum(votes == 2 for votes in voted.values()) < 14 or 1 not in voted.values():
        for person in people:
            task = person.next_task(loop.project)
            assert task is not None
            person.choose(task, LABELS[task % 4])
            voted[task] = voted.get(task, 0) + 1
    loop.advance()
    record = loop.store.rounds()[-1]
    complete = {task for task, votes in voted.items() if votes == 2}
    sources = loop.store.get(Sources).sources
    clips = {task.id: sources[task.source].clip for task in loop.store.get(Tasks).cache.tasks}
    assert record.kind == "trained"
    assert {*record.labelled, *record.tested} == {clips[task] for task in complete}
    assert not voted.keys() & set(record.published)
    found = shown(loop)
    assert found["in_progress"] == len(voted) - len(complete)
    assert sum(one["labels"] for one in found["annotators"]["each"]) == sum(voted.values())
    assert found["annotators"]["krippendorff_alpha"] == 1.0

    # What one of them sees otherwise than the others is worth another look, in a tab that lists it.
    for task in sorted(complete)[:2]:
        loop.anna.choose(task, "happy" if task % 4 != 1 else "sad")
        loop.server.annotator().choose(task, LABELS[task % 4])
    loop.store.request_training()
    loop.advance()
    doubts = {doubt.task for doubt in loop.store.rounds()[-1].relabel}
    assert doubts >= set(sorted(complete)[:2])
    (tab,) = [view for view in loop.server.session.get("api/dm/views/", project=loop.project) if TITLE in str(view)]
    listed = loop.server.session.get("/api/tasks", view=tab["id"], project=loop.project, page_size=100)["tasks"]
    assert {row["id"] for row in listed} == doubts
