"""The oracle: turns, locks, and what counts as served in the published order."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from aftertone.demo.errors import DemoError
from aftertone.demo.oracle import Oracle, Serving, ServingLog
from aftertone.demo.report import line, report_round
from aftertone.store.project import ProjectStore
from aftertone.store.records import Source, Sources
from aftertone.store.rounds import Round

TASKS = list(range(1, 11))


class Queue:
    """Label Studio's queue: the published order, and a lock per annotator."""

    def __init__(self, order: list[int]) -> None:
        self.order, self.locks, self.labels = order, {}, {}

    def next(self, annotator: int) -> int | None:
        held = self.locks.get(annotator)
        free = [task for task in self.order if task not in self.labels and task not in self.locks.values()]
        if held is None and not free:
            return None
        return self.locks.setdefault(annotator, held or free[0])


class Seat:
    """One annotator's session."""

    def __init__(self, queue: Queue, annotator: int) -> None:
        self.queue, self.annotator = queue, annotator

    def get(self, _path: str, **_params: Any) -> dict[str, Any]:
        rows = [{"id": t, "data": {"audio": f"/{t}"}, "is_labeled": t in self.queue.labels} for t in TASKS]
        return {"total": len(rows), "tasks": rows}

    def request(self, _method: str, _path: str) -> httpx.Response:
        task = self.queue.next(self.annotator)
        return httpx.Response(200, json={"id": task}) if task else httpx.Response(404)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, int]:
        task = int(path.split("/")[3])
        assert self.queue.locks.pop(self.annotator) == task
        self.queue.labels[task] = body["result"][0]["value"]["choices"][0]
        return {"id": task}


def a_round(batch: int, published: list[int], **fields: Any) -> Round:
    details = {"number": 0, "kind": "seed", "created_at": "", "seed": 0, "strategy": "", "classes": ("happy", "sad")}
    return Round(**{**details, "batch": batch, "published": tuple(published), **fields})


def an_oracle(folder: Path, queue: Queue, clips: dict[int, str] | None = None) -> Oracle:
    store = ProjectStore(folder / "store")
    store.save(Sources(sources={f"/{task}": Source(clip=(clips or {}).get(task, f"clip-{task}")) for task in TASKS}))
    answers = {f"/{task}": "happy" if task % 2 else "sad" for task in TASKS}
    seats: Any = [Seat(queue, 0), Seat(queue, 1)]
    return Oracle(seats, 1, answers, store, ServingLog(folder / "served.jsonl"))


def test_both_annotators_label_the_batch_in_the_published_order(tmp_path: Path) -> None:
    order = [7, 3, 9, 1, 5, 2, 4, 6, 8, 10]
    queue = Queue(order)
    told: list[tuple[int, int]] = []
    record = a_round(5, order)
    an_oracle(tmp_path, queue).label(record, lambda *done: told.append(done))
    assert queue.labels == {7: "happy", 3: "happy", 9: "happy", 1: "happy", 5: "happy"}
    log = list(ServingLog(tmp_path / "served.jsonl"))
    assert [(serving.annotator, serving.task) for serving in log] == [(0, 7), (1, 3), (0, 9), (1, 1), (0, 5)]
    assert all(serving.as_published for serving in log)
    assert told[-1] == (5, 5)
    assert report_round(record, log).served_as_published


def test_another_order_is_noticed(tmp_path: Path) -> None:
    record = a_round(2, [7, 3, 9])
    an_oracle(tmp_path, Queue([3, 7, 9])).label(record, lambda *_done: None)
    report = report_round(record, ServingLog(tmp_path / "served.jsonl"))
    assert not report.served_as_published
    assert report.strays == [{"round": 0, "annotator": 0, "task": 3, "expected": 7}]
    assert "1 NOT in the published order" in line(report)


def test_a_task_that_was_open_when_the_demo_stopped_is_served_again_and_counted_once(tmp_path: Path) -> None:
    queue, record = Queue(TASKS), a_round(4, TASKS)
    an_oracle(tmp_path, queue).open_next(0, record)  # and then Ctrl-C
    queue.order = TASKS[::-1]  # a new round meanwhile
    again = a_round(2, TASKS[::-1], number=1)
    an_oracle(tmp_path, queue).label(again, lambda *_done: None)
    log = list(ServingLog(tmp_path / "served.jsonl"))
    assert [(serving.round, serving.task) for serving in log] == [(0, 1), (1, 10)]
    assert all(serving.as_published for serving in log)


def test_the_same_audio_twice_is_one_clip_of_the_batch(tmp_path: Path) -> None:
    queue = Queue(TASKS)
    an_oracle(tmp_path, queue, clips={2: "clip-1"}).label(a_round(3, TASKS), lambda *_done: None)
    assert len(queue.labels) == 4


def test_labels_that_the_round_knew_do_not_count(tmp_path: Path) -> None:
    queue = Queue(TASKS)
    queue.labels = {1: "happy", 2: "sad"}
    record = a_round(2, TASKS, labelled={"clip-1": [1, 0]}, tested={"clip-2": [0, 1]})
    an_oracle(tmp_path, queue).label(record, lambda *_done: None)
    assert sorted(queue.labels) == [1, 2, 3, 4]


def test_an_empty_queue_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="larger LIMIT"):
        an_oracle(tmp_path, Queue([1])).label(a_round(5, TASKS), lambda *_done: None)


def test_a_serving_survives_the_file(tmp_path: Path) -> None:
    log = ServingLog(tmp_path / "deep" / "served.jsonl")
    assert list(log) == []
    log.append(Serving(round=1, annotator=0, task=4, expected=None))
    assert list(log) == [Serving(round=1, annotator=0, task=4, expected=None)]
