"""The lease: one writer at a time, and none that comes too late."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from aftertone.errors import LeaseLostError
from aftertone.store import lease as module
from aftertone.store.folder import read_record, write_record
from aftertone.store.lease import Lease, LeaseRecord, ended, hold, this_process
from aftertone.store.project import ProjectStore
from aftertone.store.records import Doing, Problem, Warnings
from aftertone_model.data.files import remove
from tests.unit.aftertone.records import make_round

HOLD = """
import sys
from pathlib import Path
from aftertone.store.lease import hold

with hold(Path(sys.argv[1])) as lease:
    print("held", flush=True)
    sys.stdin.readline()
    try:
        with lease.guard():
            print("wrote", flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    sys.stdin.readline()
"""


def record(folder: Path) -> LeaseRecord:
    return read_record(LeaseRecord, folder / LeaseRecord.FILE)


def renewed(folder: Path, ago: float) -> None:
    """Let the last renewal be so many seconds ago, by the file system's clock."""
    moment = time.time() - ago
    os.utime(folder / LeaseRecord.FILE, (moment, moment))


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that holds the lease."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert said(process) == "held"
    with process:
        yield process
        process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_each_taking_raises_the_token(tmp_path: Path) -> None:
    for token in (1, 2, 3):
        with hold(tmp_path / "1") as lease:
            assert lease is not None
            assert (record(tmp_path / "1").token, record(tmp_path / "1").released) == (token, False)
        assert record(tmp_path / "1").released


def test_it_has_one_holder(tmp_path: Path) -> None:
    with hold(tmp_path) as first, hold(tmp_path) as second:
        assert first is not None
        assert second is None
        with first.guard(), first.guard():  # a write made of writes
            pass


def test_a_living_holder_keeps_it_and_a_dead_one_loses_it_at_once(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with hold(tmp_path) as lease:
        assert lease is None
    os.kill(holder.pid, signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # it has ended, though nobody has taken note of that yet
    with hold(tmp_path) as lease:
        assert lease is not None
        assert record(tmp_path).token == 2


def test_a_process_number_that_was_given_anew_is_another_process(tmp_path: Path) -> None:
    me = this_process()
    assert not ended(me)
    assert ended(me.model_copy(update={"started": "1"}))


@pytest.mark.parametrize("field", ["boot", "pid_namespace", "host"])
def test_of_a_process_elsewhere_nothing_is_known(field: str) -> None:
    elsewhere = this_process().model_copy(update={"started": "1", field: "another"})
    assert not ended(elsewhere)


# A clock that jumps makes the last renewal seem to be in the future, or long ago.
@pytest.mark.parametrize(("ago", "taken"), [(10.0, False), (60.0, True), (-10.0, False), (-86_400.0, True)])
def test_a_silent_holder_loses_it_by_the_clock_of_the_file_system(tmp_path: Path, ago: float, taken: bool) -> None:
    elsewhere = this_process().model_copy(update={"host": "another"})
    write_record(tmp_path, LeaseRecord(token=7, holder=elsewhere))
    renewed(tmp_path, ago)
    with hold(tmp_path) as lease:
        assert (lease is not None) is taken
        assert record(tmp_path).token == (8 if taken else 7)


def test_it_is_renewed_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.01)
    with hold(tmp_path):
        renewed(tmp_path, 3600)
        while time.time() - (tmp_path / LeaseRecord.FILE).stat().st_mtime > 60:
            time.sleep(0.01)


def test_a_damaged_lease_is_anybodys_and_its_holder_stops(tmp_path: Path) -> None:
    with hold(tmp_path) as first:
        assert first is not None
        (tmp_path / LeaseRecord.FILE).write_text("{")
        with hold(tmp_path) as second:
            assert second is not None
            assert record(tmp_path).token == 1  # the same token, and yet another lease
            with pytest.raises(LeaseLostError, match="was taken by process"), first.guard():
                pass


def test_a_holder_that_was_stopped_for_long_cannot_write(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    os.kill(holder.pid, signal.SIGSTOP)
    with hold(tmp_path) as lease:
        assert lease is None  # it may yet go on
    renewed(tmp_path, 60)
    with hold(tmp_path) as lease:
        assert lease is not None
        os.kill(holder.pid, signal.SIGCONT)
        go_on(holder)
        assert said(holder).startswith("LeaseLostError The project was taken by process")
        go_on(holder)
        assert holder.wait(30) == 0
        with lease.guard():  # nor did its end give the lease back
            pass


def test_one_that_was_stopped_while_nobody_took_over_goes_on(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    os.kill(holder.pid, signal.SIGSTOP)
    renewed(tmp_path, 60)
    os.kill(holder.pid, signal.SIGCONT)
    go_on(holder)
    assert said(holder) == "wrote"


def model(folder: Path) -> None:
    folder.mkdir()
    (folder / "weights").write_text("new")


DRAFT = make_round(1, kind="trained")
WRITES: dict[str, Callable[[ProjectStore], object]] = {
    "a record": lambda store: store.save(Doing(stage="train", done=1, total=2, at=0.0)),
    "the removal of a record": lambda store: store.remove(Problem),
    "a record by another name": lambda store: store.migrate(Warnings),
    "what annotators are served": lambda store: store.set_current(1),
    "a training that begins": lambda store: store.training_request().__enter__(),
    "work thrown away": lambda store: store.forget_begun(),
    "a step that is cancelled": lambda store: store.cancel_request().__enter__(),
    "the seed set": lambda store: store.save_seed(make_round(0), []),
    "a trained model": lambda store: store.save_draft(DRAFT, model),
    "a round": lambda store: store.complete_round(DRAFT, []),
    "a damaged file set aside": lambda store: store.current,
    "what webhooks carry": lambda store: store.set_webhook_secret("secret"),
    "that webhooks carry nothing": lambda store: store.set_webhook_secret(""),
    "a question about the connection": lambda store: store.setup_request().__enter__(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_no_write_of_a_former_holder_takes_effect(tmp_path: Path, write: Callable[[ProjectStore], object]) -> None:
    def content() -> dict[str, str]:
        return {str(path): path.read_text() for path in sorted(tmp_path.rglob("*")) if path.is_file()}

    with ProjectStore(tmp_path).only_writer() as mine:
        assert mine is not None
        mine.request_training()
        mine.request_setup()
        mine.request_cancel()
        mine.set_webhook_secret("before")
        mine.record_problem("train", "It failed.", 0.0)
        mine.save_draft(DRAFT, lambda folder: folder.mkdir())
        (tmp_path / "current").write_text("damaged")
        (tmp_path / "notes.json").write_text("[]")
        renewed(tmp_path, 60)
        (tmp_path / LeaseRecord.FILE).write_text(
            record(tmp_path).model_copy(update={"holder": this_process().model_copy(update={"host": "b"})})
            .model_dump_json()
        )  # fmt: skip
        before = content()
        with pytest.raises(LeaseLostError):
            write(cast(ProjectStore, mine))
        assert content() == before


def test_who_meets_a_lock_that_stays_held_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.05)
    stopped, other = Lease(tmp_path), Lease(tmp_path)
    assert stopped.take()
    with stopped.guard():
        assert not other.take()
    stopped.release()
    assert other.take()
    other.release()


def test_a_project_that_was_removed_is_not_made_again_by_its_holder(tmp_path: Path) -> None:
    folder = tmp_path / "1"
    with hold(folder) as lease:
        assert lease is not None
        remove(folder)
        with pytest.raises(LeaseLostError, match="removed"), lease.guard():
            pass
    assert not folder.exists()
