"""Processes: nothing that was started is left, however stubborn, and however the demo itself ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from aftertone.demo import processes as module
from aftertone.demo.errors import DemoError
from aftertone.demo.interrupts import interrupts_held, interrupts_raised
from aftertone.demo.processes import Processes

PYTHON = sys.executable


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", [(number, 1.0) for number, _seconds in module.PATIENCE])


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.02)
    raise AssertionError(f"{path} did not appear")


def test_a_stubborn_process_and_its_children_end(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal, time\n"
        "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "if child: pathlib.Path('pids').write_text(f'{os.getpid()} {child}')\n"
        "else: os.setpgrp()\n"  # as RQ's work-horse does
        "time.sleep(60)\n"
    )
    running = Processes(tmp_path)
    running.start("Stubborn", ["/bin/sh", "-c", f'cd "{tmp_path}" && exec "{PYTHON}" -c "$0"', script], {})
    pids = [int(pid) for pid in wait_for(tmp_path / "pids").split()]
    assert all(alive(pid) for pid in pids)
    running.end()
    assert not any(alive(pid) for pid in pids)


def test_an_end_is_reported_with_the_last_lines(tmp_path: Path) -> None:
    running = Processes(tmp_path)
    child = running.start("Label Studio", [PYTHON, "-c", "print('no database'); raise SystemExit(3)"], {})
    child.process.wait(timeout=20)
    with pytest.raises(DemoError, match=r"Label Studio ended by itself with status 3(.|\n)*no database"):
        running.check()
    running.end()


def test_a_child_gets_what_it_is_told_and_little_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "1")
    running = Processes(tmp_path)
    child = running.start("Probe", [PYTHON, "-c", "import os; print(sorted(os.environ))"], {"MODEL_DIR": "x"})
    child.process.wait(timeout=20)
    said = child.log.read_text()
    assert "'MODEL_DIR'" in said
    assert "'PATH'" in said
    assert "SECRET_OF_THE_SHELL" not in said
    running.end()


def test_what_a_killed_demo_left_behind_is_ended_by_the_next(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal, sys; from aftertone.demo.processes import Processes\n"
        "Processes(pathlib.Path(sys.argv[1])).start('Sleeper', ['sleep', '60'], {})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([PYTHON, "-c", script, str(tmp_path)], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    pid = int((tmp_path / "processes" / "sleeper.pid").read_text())
    assert alive(pid)
    Processes(tmp_path).end_leftovers()
    assert not alive(pid)


def test_the_number_of_a_process_that_ended_is_nobodys(tmp_path: Path) -> None:
    running = Processes(tmp_path)
    running.start("Brief", ["true"], {}).process.wait(timeout=20)
    (tmp_path / "processes" / "brief.pid").write_text(str(os.getpid()))  # as if the number had been given to us
    Processes(tmp_path).end_leftovers()
    running.end()


def test_an_interrupt_waits_for_the_step_that_must_not_be_cut() -> None:
    steps = []

    def interrupted() -> None:
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGTERM)
            steps.append("whole")
        steps.append("never reached")

    with interrupts_raised(), pytest.raises(KeyboardInterrupt):
        interrupted()
    assert steps == ["whole"]


def test_only_this_start_is_quoted(tmp_path: Path) -> None:
    for word in ("first", "second"):
        running = Processes(tmp_path)
        child = running.start("Speaker", [PYTHON, "-c", f"print('{word}')"], {})
        child.process.wait(timeout=20)
        running.end()
    assert child.printed() == "second\n"
    assert child.log.read_text() == "first\nsecond\n"
