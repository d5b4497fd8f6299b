"""The processes that the demo starts, and how every one of them ends."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from aftertone.demo.errors import DemoError
from aftertone.demo.interrupts import interrupts_held

AFTERTONE = (sys.executable, "-m", "aftertone")  # the command of the environment that we run in, whatever PATH says
PATIENCE = ((signal.SIGINT, 6.0), (signal.SIGTERM, 6.0), (signal.SIGKILL, 6.0))  # (signal, seconds until the next)
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True, kw_only=True)
class Child:
    """One process of the demo, the leader of its own session."""

    name: str  # as people read it: "Label Studio"
    process: subprocess.Popen[bytes]
    log: Path  # everything it prints
    printed_before: int = 0  # bytes in the log from earlier starts

    def printed(self) -> str:
        """What it has printed since it was started."""
        with self.log.open("rb") as file:
            file.seek(self.printed_before)
            return file.read().decode(errors="replace")

    def check(self) -> None:
        """Make sure that the process runs: none of them ends on its own.

        Raises:
            DemoError: it has ended.
        """
        status = self.process.poll()
        if status is not None:
            raise self._failed(
                f"ended by itself with status {status}", "Run the same command to start again where it stopped."
            )

    def wait_until_up(self, url: str, seconds: float) -> None:
        """Return once GET `url`/health succeeds.

        Raises:
            DemoError: the process ends, or doesn't answer within `seconds`.
        """
        deadline = time.monotonic() + seconds
        with httpx.Client(timeout=2.0, trust_env=False) as http:
            while time.monotonic() < deadline:
                self.check()
                with suppress(httpx.TransportError):  # not listening yet
                    if http.get(f"{url}/health").is_success:
                        return
                time.sleep(0.2)
        raise self._failed(
            f"did not answer at {url} within {seconds:.0f} s",
            "It may still be setting up, as on a busy machine, or another program has taken the port: run the same "
            "command again, and it goes on.",
        )

    def _failed(self, what: str, advice: str) -> DemoError:
        tail = "\n".join(f"    {line}" for line in self.printed().splitlines()[-12:])
        return DemoError(f"{self.name} {what}. Its last lines:\n{tail}\nThe whole log is {self.log}. {advice}")


class Processes:
    """Starts processes that survive nothing: `end` leaves none of them, nor their children, behind.

    Each child inherits an open, locked file named after it. While any process of it lives the lock is held, so the
    next start knows for certain whether the process number in the file is still ours, even after a power cut.
    """

    def __init__(self, folder: Path) -> None:
        self._logs, self._locks = folder / "logs", folder / "processes"
        self._children: list[Child] = []

    def start(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str]) -> Child:
        """Start `command` with `environment` and the few variables every program needs, and nothing else of ours."""
        slug = name.lower().replace(" ", "-")
        self._logs.mkdir(parents=True, exist_ok=True)
        self._locks.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{slug}.log"
        basics = {key: os.environ[key] for key in INHERITED if key in os.environ}
        with (self._locks / f"{slug}.pid").open("w") as lock, log.open("ab") as output, interrupts_held():
            fcntl.flock(lock, fcntl.LOCK_EX)
            printed_before = output.tell()
            process = subprocess.Popen(
                command, env={**basics, "PYTHONUNBUFFERED": "1", **environment}, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True, pass_fds=[lock.fileno()],
            )  # fmt: skip
            lock.write(str(process.pid))
            child = Child(name=name, process=process, log=log, printed_before=printed_before)
            self._children.append(child)
        return child

    def check(self) -> None:
        """Make sure that all children run.

        Raises:
            DemoError: one has ended.
        """
        for child in self._children:
            child.check()

    def end(self) -> None:
        """End every child with all that it started: ask, ask again, then kill. A second Ctrl-C can't stop this.

        The last started ends first, one after the other: what several share, the last of them can then take down.
        """
        with interrupts_held():
            while self._children:
                process = self._children.pop().process
                _end_session(process.pid)
                process.wait(timeout=10)

    def end_leftovers(self) -> None:
        """End what an earlier demo of this folder left running when it was killed."""
        for path in self._locks.glob("*.pid"):
            with path.open() as lock, interrupts_held():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    for leader in lock.read().split():
                        _end_session(int(leader))


def _end_session(leader: int) -> None:
    for number, seconds in PATIENCE:
        deadline = time.monotonic() + seconds
        members = _session(leader)
        # A leader passes an interrupt on as it sees fit; a kill must reach each member itself.
        for member in [leader] if leader in members and number != signal.SIGKILL else members:
            with suppress(ProcessLookupError):
                os.kill(member, number)
        while time.monotonic() < deadline:
            if not _session(leader):
                return
            time.sleep(0.05)


def _session(leader: int) -> list[int]:
    """Living processes of the session that `leader` started."""
    members = []
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):  # it ended while we looked, or is somebody else's
            if os.getsid(pid) == leader and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
    return members
