"""What `aftertone status` says: read from the store alone, so that it works whatever else is down."""

import time
from dataclasses import asdict
from typing import Any

from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Doing, Problem, Sources, Tasks, Warnings
from aftertone.store.rounds import Round
from aftertone_model.errors import DamagedFileError


def status(store: Store) -> dict[str, Any]:
    """Everything worth knowing about every project, as JSON."""
    return {"projects": [_project(number, store.project(number)) for number in store.projects()]}


def _project(number: int, store: ProjectStore) -> dict[str, Any]:
    sources = store.get(Sources).sources
    tasks = store.get(Tasks).cache.tasks
    doing, problem = store.read(Doing), store.read(Problem)
    rounds, damaged = _rounds(store)
    return {
        "project": number,
        "doing": doing and doing.model_dump(exclude={"schema_version"}),
        "tasks": len(tasks),
        "answered": sum(task.answer.given for task in tasks),
        "clips": len({source.clip for source in sources.values() if source.clip}),
        "unusable": [
            {"task": task.id, "reason": sources[task.source].error}
            for task in tasks
            if task.source in sources and sources[task.source].error
        ],
        "serving": store.current,
        "rounds": [
            {
                "number": r.number,
                "version": r.version,
                "kind": r.kind,
                "labels": r.labels,
                "metrics": None if r.metrics is None else asdict(r.metrics),
                "advice": r.advice,
                "seconds": r.seconds,
            }
            for r in rounds
        ],
        "warnings": [*damaged, *store.get(Warnings).warnings],
        "problem": problem and problem.model_dump(include={"step", "message", "times"}),
    }


def _rounds(store: ProjectStore) -> tuple[list[Round], list[str]]:
    """The rounds that can be read, and what is wrong with the others."""
    rounds, damaged = [], []
    for number in store.round_numbers():
        try:
            rounds.append(store.round(number))
        except DamagedFileError as error:
            damaged.append(str(error))
    return rounds, damaged


def describe(project: dict[str, Any]) -> str:
    """One project's status for people."""
    doing = project["doing"]
    lines = [f"Project {project['project']}: {_doing(doing)}"]
    lines.append(
        f"  {project['tasks']} tasks, {project['answered']} answered; {project['clips']} clips decoded, "
        f"{len(project['unusable'])} tasks with unusable audio"
    )
    for record in project["rounds"]:
        mark = "  <- served to annotators" if record["number"] == project["serving"] else ""
        lines.append(f"  round {record['number']:>3}  {record['labels']:>5} labels  {_metrics(record)}{mark}")
    if project["rounds"] and (advice := project["rounds"][-1]["advice"]):
        lines.append(f"  advice: {advice}")
    lines += [f"  warning: {warning}" for warning in project["warnings"]]
    if project["problem"]:
        lines.append(f"  PROBLEM while trying to {project['problem']['step']}: {project['problem']['message']}")
    lines += [f"  task {row['task']}: {row['reason']}" for row in project["unusable"]]
    return "\n".join(lines)


def _doing(doing: dict[str, Any] | None) -> str:
    if doing is None:
        return "connected; no worker has looked at it yet (start `aftertone worker`)"
    far = f" {doing['done']}/{doing['total']}" if doing["total"] else ""
    return f"{doing['stage']}{far} ({time.time() - doing['at']:.0f} s ago)"


def _metrics(record: dict[str, Any]) -> str:
    metrics = record["metrics"]
    if record["kind"] == "seed":
        return "seed set, no model yet"
    if not metrics:
        return "no test labels yet"
    ua, wa, clips = metrics["ua"], metrics["wa"], metrics["clips"]
    return f"UA {ua['value']:.3f} [{ua['low']:.3f}, {ua['high']:.3f}], WA {wa['value']:.3f} on {clips} test clips"
