"""Looks at everything all the time: what must always hold, and when things go well again after a fault."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from aftertone.store.folder import read_record
from aftertone.store.records import Problem
from tests.chaos.deployment import Deployment
from tests.chaos.label_studio import is_up
from tests.chaos.logs import Logs
from tests.chaos.rounds import History
from tests.chaos.violations import Violations

LOOK_SECONDS = 0.25
STUCK_SECONDS = 150.0  # after which a system that hasn't gone on by itself counts as stuck
GROWTH = 60 * 1024 * 1024  # bytes that the server may grow by after its first minute


@dataclass(kw_only=True)
class Outcome:
    """One fault and what became of it."""

    name: str
    kill: bool
    victim: str
    where: str  # what was being done
    began: float  # epoch seconds
    over: float  # epoch seconds at which it was undone; of a kill, the same
    recovered: float | None = None  # epoch seconds at which everything had gone on

    @property
    def seconds(self) -> float | None:
        """From its end until everything had gone on."""
        return None if self.recovered is None else self.recovered - self.over


class Watch(threading.Thread):
    """Looks until `end`."""

    def __init__(
        self, deployment: Deployment, histories: dict[int, History], live: Callable[[], Iterable[int]],
        violations: Violations,
    ) -> None:  # fmt: skip
        """
        Args:
            live: projects that are being labelled now.
        """
        super().__init__(name="watch", daemon=True)
        self._deployment, self._histories, self._live, self._violations = deployment, histories, live, violations
        self._over = threading.Event()
        self.logs = Logs(deployment.logs)
        self.outcomes: list[Outcome] = []
        self.problems: dict[str, int] = {}  # message -> times seen to begin
        self.stuck = threading.Event()
        self._memory: dict[int, tuple[float, int]] = {}  # pid of a server -> first measured at, bytes then
        self.most_memory = 0  # bytes that any server held

    def run(self) -> None:
        """Look, again and again."""
        while not self._over.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception as error:
                self._violations.add(f"the harness itself failed in its watch: {type(error).__name__}: {error}")
                raise

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()

    def look(self) -> None:
        """Look once."""
        for project, history in list(self._histories.items()):
            for wrong in history.look():
                self._violations.add(f"project {project}: {wrong}")
        for wrong in self.logs.look(self._deployment.secrets()):
            self._violations.add(wrong)
        for path in self._deployment.model_dir.glob("projects/*/*.corrupt"):
            self._violations.add(f"a file was damaged and set aside: {path.relative_to(self._deployment.model_dir)}")
        self._measure()
        self._notice_recovery()

    def problem(self, project: int) -> Problem | None:
        """What is wrong with a project, as people are told."""
        with suppress(FileNotFoundError):
            return read_record(Problem, self._histories[project].folder / Problem.FILE)
        return None

    def _notice_recovery(self) -> None:
        waiting = [outcome for outcome in self.outcomes if outcome.recovered is None and outcome.over < time.time()]
        if not waiting:
            return
        doing, live, now = self._deployment.doing(), list(self._live()), time.time()
        problems = {project: problem for project in live if (problem := self.problem(project))}
        for problem in problems.values():
            self.problems.setdefault(problem.message, problem.times)
        signs = min((doing[project].at if project in doing else 0.0 for project in live), default=now)
        up = all(one.pid for one in self._deployment.ours) and is_up(self._deployment.server_url)
        for outcome in waiting:
            heard = self._heard_after(outcome.over)
            if up and heard is not None and signs > heard and not problems:
                outcome.recovered = now
        oldest = min(outcome.over for outcome in waiting)
        retry = max((problem.at + problem.pause(problem.at) for problem in problems.values()), default=0.0)
        if now - max(oldest, retry, self._last_outage_end()) > STUCK_SECONDS and not self.stuck.is_set():
            first = next(outcome for outcome in waiting if outcome.over == oldest)
            ages = {project: round(now - doing[project].at) if project in doing else None for project in live}
            self._violations.add(
                f"nothing has gone on for {now - oldest:.0f} s after: {first.name} ({first.victim}, {first.where}); "
                f"server up: {up}; took the last event: {self._heard_after(oldest) is not None}; "
                f"seconds since each project's last sign: {ages}; problems: {[p.message for p in problems.values()]}"
            )
            self.stuck.set()

    def _heard_after(self, moment: float) -> float | None:
        """When the server first took an event of Label Studio after a moment; None if it refuses the latest, or all."""
        events = [
            (at, status) for at, request, status in list(self._deployment.to_server.answers) if "/webhook" in request
        ]
        taken = [at for at, status in events if at > moment and status < 400]
        return min(taken) if taken and events[-1][1] < 400 else None

    def _last_outage_end(self) -> float:
        now = time.time()
        if any(proxy.outage for proxy in self._deployment.proxies) or not self._deployment.host.up:
            return now
        return 0.0

    def _measure(self) -> None:
        pid, now = self._deployment.server.pid, time.time()
        with suppress(psutil.Error):
            if pid is None:
                return
            held = psutil.Process(pid).memory_info().rss
            self.most_memory = max(self.most_memory, held)
            since, first = self._memory.setdefault(pid, (now, held))
            if now - since < 60:
                self._memory[pid] = (since, max(first, held))
            elif held > first + GROWTH:
                self._violations.add(f"the server grew from {first >> 20} to {held >> 20} MB in {now - since:.0f} s")
