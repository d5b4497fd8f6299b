"""Processes that are started again a moment after they end, as systemd or compose would do it."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from aftertone.demo.processes import INHERITED

RESTART_SECONDS = 0.5
LOOK_SECONDS = 0.05
STOP_SECONDS = 30.0  # that a process may take to end when asked to


class Supervised:
    """One command that shall run."""

    def __init__(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str], logs: Path) -> None:
        self.name, self.log = name, logs / f"{name.replace(' ', '-')}.log"
        self._command, self._environment = command, environment
        self.killed: set[int] = set()  # process ids that we killed
        self.starts = 0
        self.ended_by_itself: list[int] = []  # exit statuses
        self.process: subprocess.Popen[bytes] | None = None
        self.ended_at = 0.0  # monotonic

    @property
    def pid(self) -> int | None:
        """Of the running process; None while there is none."""
        process = self.process
        return process.pid if process is not None and process.returncode is None else None

    def start(self) -> None:
        """Start the command, in a session of its own."""
        basics = {key: os.environ[key] for key in (*INHERITED, "PYTHONPATH") if key in os.environ}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command, env={**basics, "PYTHONUNBUFFERED": "1", **self._environment}, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.starts += 1

    def kill(self, *, group: bool = False) -> bool:
        """SIGKILL to the process, or to all of its session. False where none runs."""
        if (pid := self.pid) is None:
            return False
        self.killed.add(pid)
        with suppress(ProcessLookupError):
            if group:
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
        return True

    def look(self) -> None:
        """Note an end, and start again when it is time."""
        process = self.process
        if process is None:
            return
        if process.returncode is None:
            if (status := process.poll()) is not None:
                self.ended_at = time.monotonic()
                if process.pid not in self.killed:
                    self.ended_by_itself.append(status)
        elif time.monotonic() - self.ended_at > RESTART_SECONDS:
            self.start()


class Supervisor:
    """Keeps processes running from a thread of its own, and buries what others left behind (as init does)."""

    def __init__(self) -> None:
        self._supervised: list[Supervised] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    def add(self, supervised: Supervised) -> Supervised:
        """Start it and keep it running."""
        with self._lock:
            supervised.start()
            self._supervised.append(supervised)
        return supervised

    def stop(self, *supervised: Supervised) -> list[str]:
        """Ask processes to end, for good, one after the other. Returns the names of those that had to be killed."""
        stubborn = []
        for one in supervised:
            with self._lock:
                self._supervised.remove(one)
            process = one.process
            if process is None or process.poll() is not None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                stubborn.append(one.name)
                one.kill(group=True)
                process.wait(STOP_SECONDS)
        return stubborn

    def end(self) -> None:
        """Kill all that still runs."""
        self._over.set()
        self._thread.join()
        for one in self._supervised:
            one.kill(group=True)
            if one.process is not None:
                one.process.wait(STOP_SECONDS)
        self._supervised.clear()

    def _run(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            with self._lock:
                for one in self._supervised:
                    one.look()
            self._bury()

    def _bury(self) -> None:
        for child in psutil.Process().children():
            with self._lock, suppress(psutil.Error, ChildProcessError):
                ours = {one.process.pid for one in self._supervised if one.process is not None}
                if child.pid not in ours and child.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(child.pid, os.WNOHANG)
