"""What `aftertone status` says: read from the store alone, so that it works whatever else is down."""

import time
from dataclasses import asdict
from typing import Any

from aftertone.labelstudio.snapshot import kept_tasks
from aftertone.store.project import ProjectStore, Store


def status(store: Store) -> dict[str, Any]:
    """Everything worth knowing about every project, as JSON."""
    return {"projects": [_project(number, store.project(number)) for number in store.projects()]}


def _project(number: int, store: ProjectStore) -> dict[str, Any]:
    sources = store.sources()
    tasks = kept_tasks(store.tasks_file)
    rounds = [store.round(n) for n in store.round_numbers()]
    problem = store.problem()
    return {
        "project": number,
        "doing": store.progress(),
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
                "exam": None if r.exam is None else asdict(r.exam),
                "advice": r.advice,
                "seconds": r.seconds,
            }
            for r in rounds
        ],
        "notes": store.notes(),
        "problem": None
        if problem is None
        else {"step": problem.step, "message": problem.message, "times": problem.times},
    }


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
        lines.append(f"  round {record['number']:>3}  {record['labels']:>5} labels  {_exam(record)}{mark}")
    if project["rounds"] and (advice := project["rounds"][-1]["advice"]):
        lines.append(f"  advice: {advice}")
    lines += [f"  note: {note}" for note in project["notes"]]
    if project["problem"]:
        lines.append(f"  PROBLEM while trying to {project['problem']['step']}: {project['problem']['message']}")
    lines += [f"  task {row['task']}: {row['reason']}" for row in project["unusable"]]
    return "\n".join(lines)


def _doing(doing: dict[str, Any] | None) -> str:
    if doing is None:
        return "connected; no worker has looked at it yet (start `aftertone worker`)"
    far = f" {doing['done']}/{doing['total']}" if doing["total"] else ""
    return f"{doing['stage']}{far} ({time.time() - doing['at']:.0f} s ago)"


def _exam(record: dict[str, Any]) -> str:
    exam = record["exam"]
    if record["kind"] == "seed":
        return "seed set, no model yet"
    if not exam:
        return "no exam labels yet"
    ua, wa = exam["ua"], exam["wa"]
    return (
        f"exam UA {ua['value']:.3f} [{ua['low']:.3f}, {ua['high']:.3f}], WA {wa['value']:.3f} on {exam['clips']} clips"
    )
