"""The processes that the demo starts, and how every one of them ends."""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aftertone.demo.errors import DemoError
from aftertone.demo.interrupts import interrupts_held

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

    def tail(self, lines: int = 12) -> str:
        """The end of that, for a message about a failure."""
        return "\n".join(f"    {line}" for line in self.printed().splitlines()[-lines:])

    def check(self) -> None:
        """Raises DemoError if the process has ended, which none of them does on its own."""
        status = self.process.poll()
        if status is not None:
            raise DemoError(
                f"{self.name} ended by itself with status {status}. Its last lines:\n{self.tail()}\n"
                f"The whole log is {self.log}. Run the same command to start again where it stopped."
            )


class Processes:
    """Starts processes that survive nothing: `end` leaves none of them, nor their children, behind.

    Each child inherits an open, locked file named after it. While any process of it lives the lock is held, so the
    next start knows for certain whether the process number in the file is still ours, even after a power cut.
    """

    def __init__(self, folder: Path) -> None:
        self._logs, self._locks = folder / "logs", folder / "processes"
        self._children: list[Child] = []

    def start(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str]) -> Child:
        """Starts `command` with `environment` and the few variables every program needs, and nothing else of ours."""
        slug = name.lower().replace(" ", "-")
        self._logs.mkdir(parents=True, exist_ok=True)
        self._locks.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{slug}.log"
        basics = {key: os.environ[key] for key in INHERITED if key in os.environ}
        with (self._locks / f"{slug}.pid").open("w") as lock, log.open("ab") as output, interrupts_held():
            fcntl.flock(lock, fcntl.LOCK_EX)
            printed_before = output.tell()
            process = subprocess.Popen(
                [os.fspath(part) for part in command],
                env={**basics, "PYTHONUNBUFFERED": "1", **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )
            lock.write(str(process.pid))
            child = Child(name=name, process=process, log=log, printed_before=printed_before)
            self._children.append(child)
        return child

    def check(self) -> None:
        """Raises DemoError if any child has ended."""
        for child in self._children:
            child.check()

    def end(self) -> None:
        """Ends every child with all that it started: asks, asks again, then kills. A second Ctrl-C can't stop this.

        The last started ends first, one after the other: what several share, the last of them can then take down.
        """
        with interrupts_held():
            while self._children:
                process = self._children.pop().process
                _end_session(process.pid)
                process.wait(timeout=10)

    def end_leftovers(self) -> None:
        """Ends what an earlier demo of this folder left running when it was killed."""
        leaders = []
        for path in self._locks.glob("*.pid"):
            with path.open() as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    leaders += [int(number) for number in lock.read().split()]
        with interrupts_held():
            for leader in leaders:
                _end_session(leader)


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
    """Living processes of the session that `leader` started. Without /proc (macOS), no more than the leader itself."""
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(leader, 0)
        except ProcessLookupError:
            return []
        return [leader]
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended while we looked
            state, _parent, _group, session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                members.append(int(stat.parent.name))
    return members
