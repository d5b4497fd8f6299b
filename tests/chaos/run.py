"""One run: label and break things, let everything settle, settle the accounts, and report."""

import os
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.chaos import faults, moments, report
from tests.chaos.annotators import rest
from tests.chaos.experiment import Experiment, Options, wait_until
from tests.chaos.faults import Fault
from tests.chaos.proxy import Network
from tests.chaos.supervisor import Supervisor
from tests.chaos.violations import Violations
from tests.chaos.watch import Outcome

QUIET_SECONDS = 700.0  # in which all must settle after the last fault: longer than the wait for any retry
REST_SECONDS = 60.0  # for the annotators to finish the label in work
PAUSE = (0.1, 1.5)  # seconds between two faults, beside the wait for a moment

Say = Callable[[str], None]


def run(options: Options, say: Say) -> int:
    """Do it all. Returns the exit status: 1 where something happened that must not."""
    violations, rng, began = Violations(say), random.Random(options.seed), time.time()
    supervisor, network = Supervisor(), Network()
    experiment: Experiment | None = None
    facts: dict[str, Any] = {"seed": options.seed, "redis": "external" if options.external else "embedded"}
    try:
        experiment = Experiment.set_up(options, supervisor, network, violations, rng)
        say(f"Everything runs after {time.time() - began:.0f} s: seed {options.seed}, {facts['redis']} Redis.")
        facts["seconds of faults"] = _break_things(experiment, rng, say)
        facts["seconds to settle"] = _settle(experiment, say)
    except Exception as error:
        violations.add(f"the run broke off: {type(error).__name__}: {error}")
    finally:
        if experiment is not None:
            experiment.take_down()
        supervisor.end()
        network.end()
    if experiment is not None:
        _conclude(experiment, facts, say)
    return 1 if violations.found else 0


def _break_things(experiment: Experiment, rng: random.Random, say: Say) -> float:
    """Strike until there were enough kills, time is up, or nothing goes on any more. Returns seconds."""
    options, watch, began, kills = experiment.options, experiment.watch, time.time(), 0
    undoing: list[threading.Timer] = []
    while kills < options.kills and time.time() - began < options.minutes * 60 and not watch.stuck.is_set():
        (name, fault), moment = faults.draw(rng, options.faults), moments.draw(rng)
        time.sleep(rng.uniform(*PAUSE))
        if moment.comes(experiment.deployment, moments.PATIENCE):
            time.sleep(rng.uniform(0, 0.1))
        outcome = _strike(experiment, name, fault, rng, undoing)
        if outcome is not None:
            kills += outcome.kill
            watch.outcomes.append(outcome)
            say(report.line(outcome, began, kills, options.kills))
    for timer in undoing:
        timer.join()
    return time.time() - began


def _strike(
    experiment: Experiment, name: str, fault: Fault, rng: random.Random, undoing: list[threading.Timer]
) -> Outcome | None:
    where, now = experiment.deployment.where(), time.time()
    hurt = fault.strike(experiment.deployment, rng)
    if hurt is None:
        return None
    if hurt.seconds:
        timer = threading.Timer(hurt.seconds, hurt.undo)
        timer.start()
        undoing.append(timer)
    return Outcome(name=name, kill=fault.kill, victim=hurt.victim, where=where, began=now, over=now + hurt.seconds)


def _settle(experiment: Experiment, say: Say) -> float:
    """Wait until all labels are counted in a served round, and check everything. Returns seconds."""
    began, violations, watch = time.time(), experiment.violations, experiment.watch
    if not watch.stuck.is_set():
        say("No more faults: waiting for new rounds.")
        _wait_for_rounds(experiment)
        say("The annotators stop: waiting until every label is counted.")
        rest(experiment.annotators, REST_SECONDS)
        _wait_for_counts(experiment)
    else:
        rest(experiment.annotators, REST_SECONDS)
    say("Settling the accounts.")
    for project in experiment.histories:
        for wrong in experiment.settlement(project).check():
            violations.add(f"project {project}: {wrong}")
        if problem := watch.problem(project):
            violations.add(f"project {project} still has a problem: {problem.message}")
    _check_status(experiment)
    return time.time() - began


def _wait_for_rounds(experiment: Experiment) -> None:
    """The loop goes on by itself: what annotators label now leads to another round at every desk."""
    watch = experiment.watch
    before = [(desk, desk.project, experiment.histories[desk.project].current or 0) for desk in experiment.desks]

    def went_on() -> bool:
        """A desk's project is served a later round, or is large enough, so that another one was begun."""
        current = {project: history.current or 0 for project, history in experiment.histories.items()}
        return all(current[project] > number or desk.project != project for desk, project, number in before)

    if not wait_until(lambda: went_on() or watch.stuck.is_set(), QUIET_SECONDS):
        rounds = {project: number for _, project, number in before}
        experiment.violations.add(f"{QUIET_SECONDS:.0f} s of labels after the last fault made no round after {rounds}")
    if not wait_until(
        lambda: all(outcome.recovered for outcome in watch.outcomes) or watch.stuck.is_set(), QUIET_SECONDS
    ):
        experiment.violations.add("not everything has gone on since the last faults")


def _wait_for_counts(experiment: Experiment) -> None:
    """Labels that are fewer than a round waits for are counted once somebody presses Start Training."""
    waiting = set(experiment.histories)
    for project in experiment.histories:
        if not experiment.settlement(project).counted():
            experiment.deployment.host.start_training(project)

    def counted() -> bool:
        for project in list(waiting):
            if experiment.watch.problem(project) is None and experiment.settlement(project).counted():
                waiting.discard(project)
        return not waiting

    wait_until(lambda: counted() or experiment.watch.stuck.is_set(), QUIET_SECONDS, every=2)


def _check_status(experiment: Experiment) -> None:
    """`aftertone status` shows every project and no problem."""
    environment, command = experiment.deployment.environment, [sys.executable, "-m", "aftertone", "status"]
    shown = subprocess.run(command, env={**environment, **_paths()}, capture_output=True, text=True).stdout
    if "PROBLEM" in shown or any(f"Project {project}:" not in shown for project in experiment.histories):
        experiment.violations.add(f"`aftertone status` says:\n{shown}")


def _paths() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}


def _conclude(experiment: Experiment, facts: dict[str, Any], say: Say) -> None:
    """Tell what happened, and keep what explains it where something went wrong."""
    journal, watch, violations = experiment.journal, experiment.watch, experiment.violations
    outcomes, folder = watch.outcomes, experiment.options.folder
    kills, seconds = sum(outcome.kill for outcome in outcomes), facts.get("seconds of faults", 0.0)
    waits = sorted(entry.seconds for entry in journal.served) or [0.0]
    ended = {one.name: one.ended_by_itself for one in experiment.deployment.ours if one.ended_by_itself}
    facts |= {
        "kills": kills,
        "faults beside kills": len(outcomes) - kills,
        "kills a minute": round(kills / max(seconds, 1) * 60, 1),
        "projects": len(experiment.histories),
        "rounds": sum(len(history.rounds) for history in experiment.histories.values()),
        "annotations": len(journal.accepted),
        "next task": dict(Counter(entry.verdict for entry in journal.served)),
        "seconds for a next task": {"median": round(statistics.median(waits), 2), "max": round(waits[-1], 2)},
        "refusals while Label Studio was up": len(journal.errors),
        "ended by themselves": ended,
        "problems on the way": watch.problems,
        "most memory of the server, MB": watch.most_memory >> 20,
        "violations": violations.found,
    }
    report.write(folder / "report.json", outcomes, facts)
    say("")
    say(report.table(outcomes))
    say("")
    for name, value in facts.items():
        say(f"{name}: {round(value, 1) if isinstance(value, float) else value}")
    if violations.found:
        if experiment.options.isolated:  # the disk at MODEL_DIR ends with us
            shutil.copytree(
                experiment.deployment.model_dir,
                folder / "model-kept",
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("*.sock"),
            )
        say(f"\nFAILED. Everything is kept in {folder}; again with --seed {facts['seed']}. Last lines of the logs:")
        say(watch.logs.tails())
