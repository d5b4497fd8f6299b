"""Reading a project: what changed adds up to what a full read shows, and nothing else is asked for."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from aftertone.labelstudio import snapshot
from aftertone.labelstudio.client import LabelStudio
from aftertone.labelstudio.snapshot import read_snapshot
from aftertone.labelstudio.tasks import Snapshot, TaskCache
from tests.unit.aftertone.fake_label_studio import FakeLabelStudio
from tests.unit.aftertone.label_studio_over_http import Server

FEW = 5  # requests


class Reader:
    """Reads incrementally from a fake and checks each read against one that starts from nothing."""

    def __init__(self, fake: FakeLabelStudio) -> None:
        self.fake, self.cache = fake, TaskCache()

    def __call__(self) -> Snapshot:
        found, self.cache = read_snapshot(self.fake, 1, self.cache, speaker_field="speaker")
        assert found == read_snapshot(self.fake, 1, TaskCache(), speaker_field="speaker")[0]
        return found


@pytest.fixture
def fake() -> FakeLabelStudio:
    fake = FakeLabelStudio()
    fake.add_tasks(30, seconds=0.1)
    return fake


@pytest.mark.parametrize("pause", [0, 3, 60])
@pytest.mark.parametrize("late", [1.0, 4.9])
def test_a_change_that_becomes_visible_late_is_read(fake: FakeLabelStudio, late: float, pause: float) -> None:
    """Its moment is before those of other changes that were read meanwhile."""
    reader = Reader(fake)
    fake.wait(pause)
    reader()
    fake.annotate(1, skip=True, visible_after=late)
    fake.annotate(2, "happy")
    reader()
    reader()
    fake.wait(late)
    assert reader().tasks[1].answer.skipped
    fake.wait(60)
    reader()


def test_what_became_visible_late_is_read_after_a_full_read_too(fake: FakeLabelStudio) -> None:
    fake.annotate(1, skip=True, visible_after=4.9)
    fake.annotate(2, "happy")
    reader = Reader(fake)
    reader()
    fake.wait(5)
    assert reader().tasks[1].answer.skipped


def test_a_clock_that_runs_ahead_hides_no_change(fake: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of a proxy which sets the date."""
    ahead = fake.answered_at.replace(year=2030)
    monkeypatch.setattr(FakeLabelStudio, "answered_at", ahead)
    reader = Reader(fake)
    reader()
    fake.annotate(3, skip=True)
    assert reader().tasks[3].answer.skipped
    monkeypatch.setattr(FakeLabelStudio, "answered_at", None)
    fake.annotate(4, skip=True)
    assert reader().tasks[4].answer.skipped


@pytest.mark.parametrize("whole", [10, 10_000])
def test_deleted_and_imported_again(fake: FakeLabelStudio, whole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "WHOLE", whole)
    reader = Reader(fake)
    reader()
    for task in (1, 7, 30):
        fake.delete_task(task)
    assert len(reader().tasks) == 27
    fake.delete_task(8)
    fake.add_tasks(5, seconds=0.1)
    fake.annotate(9, "sad")
    assert len(reader().tasks) == 31
    fake.state["tasks"] = []
    assert reader().tasks == {}
    fake.add_tasks(30, seconds=0.1)
    assert len(reader().tasks) == 30


@pytest.mark.parametrize("whole", [10, 10_000])
def test_an_annotation_that_vanishes_without_a_trace_is_noticed(
    fake: FakeLabelStudio, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "WHOLE", whole)
    fake.annotate(9, "sad")
    reader = Reader(fake)
    reader()
    fake.state["tasks"][8]["annotations"] = []  # its `updated_at` stays
    assert not reader().tasks[9].answer.given


def test_what_changes_during_a_read_makes_it_no_full_one(
    fake: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy team would have everything read again and again."""
    reader, exported = Reader(fake), []
    reader()
    fake.annotate(1, "happy")
    moments, export = fake.task_moments, fake.export

    def busy(project: int, since: str = "") -> dict[int, str]:
        fake.annotate(2, "sad")
        fake.add_task()
        return moments(project, since)

    monkeypatch.setattr(fake, "task_moments", busy)
    monkeypatch.setattr(fake, "export", lambda project, ids=None: exported.append(ids) or export(project, ids))
    found, _ = read_snapshot(fake, 1, reader.cache, speaker_field="speaker")
    assert exported == [[1, 2, 31]]
    assert sorted(task.id for task in found.tasks.values() if task.answer.given) == [1, 2]


def test_text_that_no_file_can_hold_costs_that_task_alone(fake: FakeLabelStudio) -> None:
    task = fake.add_task(audio="s3://bucket/\ud800", speaker="\ud800 Ж")
    found = Reader(fake)().tasks[task]
    assert (found.source, found.speaker) == ("s3://bucket/?", "? Ж")


@pytest.fixture
def server() -> Iterator[Server]:
    fake = FakeLabelStudio()
    fake.add_tasks(20_000, seconds=4)
    with Server(fake) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_look_at_20_000_tasks_reads_what_changed(server: Server) -> None:
    """In requests and rows, since seconds depend on the machine."""
    with closing(LabelStudio(server.url, "token")) as client:
        _, cache = read_snapshot(client, 1, TaskCache())
        assert server.rows == {"export": 20_000}
        server.fake.wait(10)
        _, cache = read_snapshot(client, 1, cache)  # may have missed what was written in the import's last seconds

        def read() -> tuple[Snapshot, int, int]:
            nonlocal cache
            server.rows.clear()
            server.requests.clear()
            found, cache = read_snapshot(client, 1, cache)
            return found, server.requests.total(), server.rows.total()

        _, requests, rows = read()
        assert requests <= FEW
        assert rows == 0
        server.fake.annotate(12_345, "happy")
        found, requests, rows = read()
        assert requests <= FEW
        assert rows == 2  # listed and exported
        assert found.tasks[12_345].answer.votes == {"happy": 1}
        server.fake.add_tasks(1_500, seconds=0.3)
        found, requests, rows = read()
        assert len(found.tasks) == 21_500
        assert requests <= FEW + 1 + 8  # another page, and chunks
        assert rows == 2 * 1_500 + 1
