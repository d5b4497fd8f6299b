"""Killed with SIGKILL and started again: the loop goes on, nothing is lost or doubled, and the queue never breaks."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aftertone.store.records import Doing
from tests.integration.kills import After, AtStage, Before, Death, advance_and_die
from tests.integration.loop import Loop, wait_for

MakeLoop = Any


PUBLISH_STEPS = [
    pytest.param(Before(call="import_predictions"), id="before the predictions are sent"),
    pytest.param(After(call="import_predictions"), id="after the predictions are stored"),
    pytest.param(After(call="update_project"), id="after the project points to them"),
    pytest.param(After(call="delete_version"), id="after the old ones are deleted"),
]


@pytest.mark.parametrize("death", PUBLISH_STEPS)
def test_between_publish_steps(make_loop: MakeLoop, death: Death) -> None:
    loop: Loop = make_loop(16)
    loop.advance()
    answered = loop.label(6)
    advance_and_die(loop.project, death)

    # Whatever round Label Studio points to now, it serves that one, in its order.
    version = loop.project_row()["model_version"]
    record = next(r for r in (loop.store.round(0), loop.store.round(1)) if r.version == version)
    expected = next(task for task in record.published if task not in answered)
    assert loop.anna.next_task(loop.project) == expected

    loop.advance()
    assert loop.store.round_numbers() == [0, 1]
    assert loop.store.round(1).labels == 6
    loop.check_queue()


@pytest.mark.parametrize("stage", ["fetch", "adapt"])
def test_before_the_first_round(make_loop: MakeLoop, stage: str) -> None:
    loop: Loop = make_loop(16)
    advance_and_die(loop.project, AtStage(stage))
    assert loop.store.round_numbers() == []
    loop.advance()
    assert loop.store.round_numbers() == [0]
    assert sorted(loop.store.round(0).published) == loop.server.tasks(loop.project)
    loop.check_queue()


@pytest.mark.parametrize("stage", ["train", "score"])
def test_in_the_middle_of_a_round(make_loop: MakeLoop, stage: str) -> None:
    loop: Loop = make_loop(16)
    loop.advance()
    served = loop.store.round(0)
    answered = loop.label(6)
    advance_and_die(loop.project, AtStage(stage))

    assert loop.store.round_numbers() == [0]
    loop.check_queue()  # the last published round goes on
    assert loop.anna.next_task(loop.project) == next(task for task in served.published if task not in answered)
    more = loop.label(1)

    loop.advance()
    assert loop.store.round_numbers() == [0, 1]
    assert loop.store.round(1).labels in (6, 7)  # the seventh came in time for training, or waits for the next round
    assert not set(loop.store.round(1).published) & {*answered, *more}
    loop.check_queue()


@contextmanager
def worker(loop: Loop) -> Iterator[subprocess.Popen[bytes]]:
    """A real `aftertone worker` process."""
    process = subprocess.Popen([sys.executable, "-m", "aftertone", "worker"], env=os.environ)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_worker_takes_its_job_along_and_the_next_one_goes_on(make_loop: MakeLoop) -> None:
    loop: Loop = make_loop(16)
    with worker(loop) as first:
        before_the_queue = ("extract", "validate", "adapt", "represent", "speakers")
        wait_for(lambda: (doing := loop.store.read(Doing)) is not None and doing.stage in before_the_queue)
        jobs = children(first.pid)
        assert jobs
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        wait_for(lambda: not any(map(alive, jobs)), 10)
    with worker(loop):
        wait_for(lambda: loop.store.current == 0)
        loop.label(6)
        wait_for(lambda: loop.store.current == 1)
    loop.check_queue()
