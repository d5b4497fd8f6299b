"""What `aftertone status` says: read from the store, so that it works whatever else is down; the server is asked."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aftertone.attribute_names import count_values, describe_counts
from aftertone.doctor.data_checks import too_full
from aftertone.doctor.disk import free as free_bytes
from aftertone.doctor.disk import needed, size
from aftertone.doctor.registry import CHECKS
from aftertone.doctor.servers import dead, silent_servers
from aftertone.doctor.untouched import find_untouched
from aftertone.faults import unwritable
from aftertone.labelstudio.download import refused_host
from aftertone.labelstudio.relabel_tab import TITLE
from aftertone.labelstudio.tasks import NO_ADDRESS, Task
from aftertone.options import describe_options, options_of
from aftertone.pipeline.annotators import describe_annotators, find_annotators
from aftertone.store.clock import elapsed
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import (
    DiskUse,
    Doing,
    InProgress,
    LearnedQuestion,
    Problem,
    Source,
    Sources,
    Tasks,
    Warnings,
)
from aftertone.store.rounds import Round
from aftertone.store.unconfirmed import PENDING
from aftertone_model.errors import DamagedFileError
from aftertone_model.evaluation.metrics import Metrics
from aftertone_model.evaluation.rating_metrics import RatingMetrics
from aftertone_model.labels import Ratings

FULL = "disk-low"  # what was found then is found anew
MOST_CLASSES = 12  # that are listed for people


def status(store: Store) -> dict[str, Any]:
    """Everything worth knowing about every project, as JSON."""
    free = free_bytes(store.model_dir)
    alive = store.running.alive()
    refused = {number: row.reason for number, row in store.refused.current().items()}
    known = store.projects()
    silent = dead(silent_servers(store), runs=any(one.kind == "server" for one in alive))
    return {
        "free": free,
        "problem": unwritable(store.model_dir),
        "projects": [_project(number, store.project(number), free) | _refusal(refused, number) for number in known],
        "workers": sum(one.kind == "worker" for one in alive),
        "servers": [CHECKS["server"].finding(one.sentence).sentence for one in silent],
        "unconfirmed": {n: why for n, why in store.unconfirmed.problems().items() if n not in refused},
        "refused": {number: reason for number, reason in refused.items() if number not in known},
    }


def needs_somebody(found: dict[str, Any]) -> bool:
    """Whether what `status` found doesn't go on without a person."""
    waits = any(
        project["problem"] or project["damaged"] or any(one["severity"] == "problem" for one in project["findings"])
        for project in found["projects"]
    )
    waits = waits or bool(found["refused"]) or bool(found["servers"])
    return waits or bool(found["problem"]) or any(said != PENDING for said in found["unconfirmed"].values())


def _refusal(refused: dict[int, str], number: int) -> dict[str, str]:
    """Why a project that is known was refused when it was last set up; '' where it wasn't."""
    return {"refused": refused.get(number, "")}


def _project(number: int, store: ProjectStore, free: int) -> dict[str, Any]:
    sources = store.get(Sources).sources
    tasks = store.get(Tasks).cache.tasks
    doing, problem, steering = store.read(Doing), store.read(Problem), store.steering
    rounds, damaged = _rounds(store)
    standing = [record for record in rounds if record.number not in steering.rolled_back]
    disk = store.read(DiskUse)
    learned = store.read(LearnedQuestion)
    unfetched = sum(bool(task.source) and task.source not in sources for task in tasks)
    low = [CHECKS[FULL].finding(said) for said in too_full(free, needed(disk, len(sources), unfetched))]
    findings = [*low, *(found for found in store.get(Warnings).findings if found.key != FULL)]
    return {
        "project": number,
        "doing": doing and {**doing.model_dump(include={"stage", "done", "total", "at"}), "left": doing.left},
        "question": learned and learned.model_dump(exclude={"schema_version"}),
        "tasks": len(tasks),
        "answered": sum(task.answer.given for task in tasks),
        "untouched": find_untouched(tasks).as_json(),
        "in_progress": store.get(InProgress).clips,
        "annotators": find_annotators(tasks, rated=learned is not None and learned.kind == Ratings.kind).as_json(),
        "relabel": [doubt.model_dump() for doubt in standing[-1].relabel] if standing else [],
        "clips": len({sources[task.source].clip for task in tasks if task.source in sources} - {None}),
        "attributes": count_values(_attributes(tasks, sources)),
        "unusable": [{"task": task.id, "reason": reason} for task in tasks if (reason := _unusable(task, sources))],
        "serving": store.current,
        "paused": steering.paused,
        "options": options_of(store),
        "rounds": [
            {
                "number": r.number,
                "version": r.version,
                "kind": r.kind,
                "labels": r.labels,
                "rolled_back": r.number in steering.rolled_back,
                "metrics": _as_json(r.metrics),
                "plain_metrics": _as_json(r.plain_metrics),
                "advice": r.advice,
                "seconds": r.seconds,
            }
            for r in rounds
        ],
        "disk": disk and disk.model_dump(exclude={"schema_version", "current"}),
        "damaged": damaged,
        "findings": [finding.model_dump() for finding in findings],
        "warnings": [finding.sentence for finding in findings],
        "problem": problem and problem.model_dump(include={"step", "message", "times", "at"}),
    }


def _attributes(tasks: Sequence[Task], sources: Mapping[str, Source]) -> Iterable[Mapping[str, str]]:
    """The attributes of each usable clip."""
    found: dict[str, dict[str, str]] = {}
    for task in reversed(tasks):  # of several tasks with the same audio the first counts
        if task.source in sources and (clip := sources[task.source].clip) is not None:
            found.setdefault(clip, {}).update(task.attributes)
    return found.values()


def _unusable(task: Task, sources: Mapping[str, Source]) -> str:
    """Why a task has no usable audio; '' where it has some, or it isn't fetched yet."""
    if not task.source:
        return NO_ADDRESS
    return sources[task.source].error if task.source in sources else ""


def _as_json(metrics: Metrics | RatingMetrics | None) -> dict[str, Any] | None:
    return None if metrics is None else {**asdict(metrics), "scope": metrics.scope, "summary": metrics.summary}


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
    lines = [f"Project {project['project']}{_headline(project)}"]
    if project["paused"] is not None:
        lines.append(f"  PAUSED {_ago(project['paused'])}; `aftertone resume {project['project']}` goes on")
    if project["question"]:
        lines.append(f"  learns {_question(project['question'])}")
    lines.append(
        f"  {project['tasks']} tasks, {project['answered']} answered; {project['clips']} clips decoded, "
        f"{len(project['unusable'])} tasks with unusable audio"
    )
    if told := describe_counts(project["attributes"]):
        lines.append(f"  clips with attributes: {told}")
    if project["in_progress"]:
        lines.append(f"  {project['in_progress']} clips wait for further votes before they are learned")
    for record in project["rounds"]:
        mark = "  <- served to annotators" if record["number"] == project["serving"] else ""
        mark += "  (rolled back)" if record["rolled_back"] else ""
        lines.append(f"  round {record['number']:>3}  {record['labels']:>5} labels  {_metrics(record)}{mark}")
    standing = [record for record in project["rounds"] if not record["rolled_back"]]
    if standing and (exported := _as_exported(standing[-1])):
        lines.append(f"  {exported}")
    if standing and (advice := standing[-1]["advice"]):
        lines.append(f"  advice: {advice}")
    lines += [f"  {line}" for line in describe_annotators(project["annotators"])]
    if again := len(project["relabel"]):
        lines.append(f"  {again} labelled tasks are worth another look: the Data Manager's tab {TITLE!r} lists them")
    if options := describe_options(project["options"]):
        lines.append(f"  options: {options}")
    if project["disk"]:
        lines.append(f"  {_disk(project['disk'])}")
    lines += [f"  DAMAGED: {sentence}" for sentence in project["damaged"]]
    lines += [f"  note: {note}" for note in (project["question"] or {}).get("notes", ())]
    lines += [
        f"  {'PROBLEM' if one['severity'] == 'problem' else one['severity']}: {one['what']} {one['cure']}".rstrip()
        for one in project["findings"]
    ]
    if project["refused"] and not project["problem"]:
        lines.append(
            "  warning: When it was last set up in Label Studio it was refused, so what was set before still counts. "
            f"{project['refused']}"
        )
    if project["problem"]:
        lines.append(f"  PROBLEM while trying to {project['problem']['step']}: {project['problem']['message']}")
    told = [row for row in project["unusable"] if refused_host(row["reason"]) is None]  # the others by their finding
    lines += [f"  task {row['task']}: {row['reason']}" for row in told]
    return "\n".join(lines)


def _headline(project: dict[str, Any]) -> str:
    """What is being done, or that something doesn't go on: never both, as if nothing were wrong."""
    doing, problem = project["doing"], project["problem"]
    if project["refused"] and problem:
        return f" can't be used: {project['refused']}"
    if problem is None:
        return f": {_doing(doing)}"
    if doing is not None and doing["at"] > problem["at"]:
        return f": tries again to {problem['step']}: {_doing(doing)}"
    often = f", {problem['times']} times in a row" if problem["times"] > 1 else ""
    return f": can't {problem['step']}{often} ({_ago(problem['at'])})"


def _question(question: dict[str, Any]) -> str:
    shown = question["classes"][:MOST_CLASSES]
    more = ", ..." if len(question["classes"]) > MOST_CLASSES else ""
    parts = ", of regions" if question["of_regions"] else ""
    return f'{question["tag"]} "{question["name"]}" ({question["kind"]}{parts}): {", ".join(shown)}{more}'


def _doing(doing: dict[str, Any] | None) -> str:
    if doing is None:
        return "connected; no worker has looked at it yet (start `aftertone worker`)"
    far = f" {doing['done']}/{doing['total']}" if doing["total"] else ""
    left = f", about {math.ceil(doing['left'] / 60)} min left" if doing["left"] else ""
    return f"{doing['stage']}{far}{left} ({_ago(doing['at'])})"


def _disk(disk: dict[str, Any]) -> str:
    total = sum(disk[name] for name in ("pool", "features", "rounds", "adapted", "other"))
    return (
        f"{size(total)} on disk: clips {size(disk['pool'])}, their features {size(disk['features'])}, rounds "
        f"{size(disk['rounds'])}, adapted backbone {size(disk['adapted'])}, other {size(disk['other'])} (counted "
        f"{_ago(disk['at'])})"
    )


def _ago(at: float) -> str:
    seconds = elapsed(at, time.time())
    if math.isinf(seconds):
        return "by a clock that was ahead"
    return f"{seconds:.0f} s ago" if seconds < 7200 else f"{seconds / 3600:.0f} h ago"


def _metrics(record: dict[str, Any]) -> str:
    metrics = record["metrics"]
    if record["kind"] == "seed":
        return "seed set, no model yet"
    if not metrics:
        return "no test labels yet"
    return f"{metrics['summary']} on {metrics['clips']} test clips ({metrics['scope']})"


def _as_exported(record: dict[str, Any]) -> str:
    """How good an export is without its clip head; nothing where that is no other model."""
    plain = record["plain_metrics"]
    if not plain or plain == record["metrics"]:
        return ""
    return f"as exported, for single clips through transformers' pipeline: {plain['summary']}"
