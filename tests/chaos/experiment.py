"""Everything that takes part in a run: Label Studio, Aftertone, annotators, and the watch over them."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.annotators import Annotator, Desk, Projects
from tests.chaos.deployment import Deployment
from tests.chaos.faults import Fault
from tests.chaos.journal import Journal
from tests.chaos.label_studio import Host
from tests.chaos.namespace import mount_disk
from tests.chaos.proxy import Network
from tests.chaos.rounds import History
from tests.chaos.settlement import Settlement, scratch
from tests.chaos.supervisor import Supervisor
from tests.chaos.violations import Violations
from tests.chaos.watch import Watch

START_SECONDS = 300.0  # for the first round of every project
STRAY_SECONDS = 10.0  # in which what Aftertone has started ends after it
DISK_MEGABYTES = 384


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked of a run."""

    folder: Path
    kills: int
    minutes: float
    seed: int
    external: bool  # a Redis of its own instead of the embedded one
    desks: int  # projects that are labelled at a time
    pace: float  # mean seconds between two labels of one annotator
    faults: Mapping[str, Fault]
    isolated: bool  # in namespaces of our own
    host: Host | None = None  # a Label Studio that somebody else runs


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A run's parts."""

    options: Options
    supervisor: Supervisor
    deployment: Deployment
    journal: Journal
    histories: Mapping[int, History]  # by project
    desks: tuple[Desk, ...]
    annotators: tuple[Annotator, ...]
    watch: Watch
    violations: Violations

    @classmethod
    def set_up(
        cls, options: Options, supervisor: Supervisor, network: Network, violations: Violations, rng: random.Random
    ) -> "Experiment":
        """Start everything; returns when every project's first round is served and people label."""
        if options.isolated:
            mount_disk(options.folder / "model", DISK_MEGABYTES)
        host = options.host or Host.start(supervisor, options.folder)
        deployment = Deployment(options.folder, supervisor, network, host, external=options.external)
        deployment.wait_until_up(START_SECONDS)
        journal, histories = Journal(options.folder / "journal.jsonl"), dict[int, History]()
        projects = Projects(deployment, histories)
        desks = tuple(Desk(f"chaos-{options.seed}-{number}") for number in range(1, options.desks + 1))
        for desk in desks:
            projects.begin(desk)
        watch = Watch(deployment, histories, lambda: [desk.project for desk in desks], violations)
        watch.start()
        if not wait_until(lambda: all(history.current is not None for history in histories.values()), START_SECONDS):
            raise RuntimeError(f"no first round within {START_SECONDS:.0f} s")
        annotators = tuple(
            Annotator(
                f"{desk.name}-annotator-{number}", desk, deployment, journal, projects, first=number == 1,
                pace=options.pace, seed=rng.randrange(2**32), violation=violations.add,
            )
            for desk in desks
            for number in (1, 2)
        )  # fmt: skip
        for annotator in annotators:
            annotator.start()
        return cls(
            options=options, supervisor=supervisor, deployment=deployment, journal=journal, histories=histories,
            desks=desks, annotators=annotators, watch=watch, violations=violations,
        )  # fmt: skip

    def settlement(self, project: int) -> Settlement:
        """A project's accounts as of now."""
        return Settlement(self.deployment, self.histories[project], self.journal)

    def take_down(self) -> None:
        """Ask everything to end, and see what remains."""
        for annotator in self.annotators:
            annotator.end()
        self.watch.end()
        for name in self.supervisor.stop(*reversed(self.deployment.ours)):
            self.violations.add(f"{name} doesn't end when it is asked to")
        if not wait_until(lambda: not self.deployment.strays(), STRAY_SECONDS):
            self.violations.add(f"processes remain after everything was stopped: {self.deployment.strays()}")
        if found := scratch(self.deployment.model_dir):
            self.violations.add(f"{len(found)} scratch or damaged files remain: {found[:8]}")
        for wrong in self.watch.logs.look(self.deployment.secrets()):
            self.violations.add(wrong)


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.5) -> bool:
    """Whether something came true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
