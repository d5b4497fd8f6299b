"""Several workers and one project: one writes, and one that comes too late writes nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aftertone.store.lease import LeaseRecord
from aftertone.store.records import Doing
from tests.integration.kills import AtStage, begin_advance
from tests.integration.loop import Loop, wait_for
from tests.integration.redis_server import RedisServer
from tests.integration.test_kills import children

MakeLoop = Any


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """MODEL_DIR as another machine has it mounted."""
    (tmp_path / "model").mkdir(exist_ok=True)
    (tmp_path / "mounted").symlink_to("model")
    return tmp_path / "mounted"


@contextmanager
def worker(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A real `aftertone worker` process."""
    process = subprocess.Popen([sys.executable, "-m", "aftertone", "worker"], env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def stand_still_for_a_minute(loop: Loop) -> None:
    """Let the lease look as if its holder had not renewed it for so long."""
    file = loop.store.folder / LeaseRecord.FILE
    moment = file.stat().st_mtime - 60
    os.utime(file, (moment, moment))


def scratch(loop: Loop) -> list[Path]:
    """What half-written files and folders leave behind."""
    return [path for path in loop.store.folder.rglob(".*") if path.name.count(".") > 1]


@pytest.mark.parametrize("stage", ["train", "score"])
def test_a_worker_that_stood_still_in_a_round_finds_it_done_and_changes_nothing(
    make_loop: MakeLoop, elsewhere: Path, stage: str
) -> None:
    loop: Loop = make_loop(16)
    loop.advance()
    loop.label(6)
    late = begin_advance(loop.project, AtStage(stage, signal.SIGSTOP))
    assert late.pid is not None
    wait_for(lambda: stopped(late.pid))  # pyright: ignore[reportArgumentType] -- it is known
    loop.advance()
    assert loop.store.round_numbers() == [0]  # it may yet go on
    stand_still_for_a_minute(loop)
    with worker({"MODEL_DIR": str(elsewhere)}):
        wait_for(lambda: loop.store.current == 1)
        record = (loop.store.folder / "rounds" / "001" / "round.json").read_bytes()
        os.kill(late.pid, signal.SIGCONT)
        late.join(120)
        assert late.exitcode == 0
        assert loop.store.round_numbers() == [0, 1]
        assert (loop.store.folder / "rounds" / "001" / "round.json").read_bytes() == record
        loop.check_queue()
        loop.label(6)
        wait_for(lambda: loop.store.current == 2)
    assert loop.store.round(2).labels == 12
    assert scratch(loop) == []
    loop.check_queue()


def test_training_outlives_its_redis(make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop: Loop = make_loop(16)
    loop.advance()
    loop.label(6)
    server = RedisServer()
    server.start()
    try:
        with worker({"REDIS_URL": server.url}) as process:
            wait_for(lambda: (doing := loop.store.read(Doing)) is not None and doing.stage == "train")
            (job,) = children(process.pid)
            os.kill(job, signal.SIGSTOP)  # so that it isn't done before Redis is gone
            server.kill()
            os.kill(job, signal.SIGCONT)
            wait_for(lambda: loop.store.current == 1)
            assert process.poll() is None
            server.start()
            loop.label(6)
            wait_for(lambda: loop.store.current == 2)  # found without any webhook
            assert process.poll() is None
    finally:
        server.kill()
    loop.check_queue()


def test_workers_side_by_side_make_each_round_once(make_loop: MakeLoop, elsewhere: Path) -> None:
    loop: Loop = make_loop(16)
    with worker({}), worker({"MODEL_DIR": str(elsewhere)}), worker({}):
        for number in range(3):
            wait_for(lambda number=number: loop.store.current == number)
            if number < 2:
                loop.label(6)
        wait_for(lambda: loop.problem() == "")
    assert [loop.store.round(number).labels for number in loop.store.round_numbers()] == [0, 6, 12]
    loop.check_queue()
