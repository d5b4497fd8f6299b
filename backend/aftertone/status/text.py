"""The status document for people at a terminal: short, problems first. `--json` has all of it."""

import time
from collections import Counter
from collections.abc import Iterator

from aftertone.attribute_names import describe_counts
from aftertone.doctor.disk import size
from aftertone.labelstudio.audio_hosts import refused_host
from aftertone.labelstudio.relabel_tab import TITLE
from aftertone.options import describe_options
from aftertone.pipeline.annotators import describe_annotators
from aftertone.status.document import Disk, ProjectStatus, Question, RoundStatus
from aftertone.status.headline import headline
from aftertone.status.moments import ago, duration

MOST_CLASSES = 12  # that are listed
MOST_ROUNDS = 4  # newest ones that are listed; `aftertone rounds` has all
MOST_UNUSABLE = 5  # tasks of each reason that are listed
SEVERITY = {"problem": "PROBLEM", "warning": "warning", "note": "note"}


def describe(project: ProjectStatus, workers: int = 0, now: float | None = None) -> str:
    """One project.

    Args:
        workers: that run.
        now: epoch seconds; by default this moment.
    """
    now = time.time() if now is None else now
    said = headline(project, workers, now)
    colon = "" if project.refused and project.problem else ":"
    lines = [f"Project {project.project}{colon} {said}", *_troubles(project)]
    if project.paused is not None:
        lines.append(f"PAUSED {ago(project.paused, now)}; `aftertone resume {project.project}` goes on")
    if project.question is not None:
        lines.append(f"learns {_question(project.question)}")
    lines.append(_pool(project))
    if told := describe_counts({name: row.model_dump() for name, row in project.attributes.items()}):
        lines.append(f"clips with attributes: {told}")
    lines += _rounds(project)
    lines += [line for line in (project.advice and f"advice: {project.advice}", project.forecast) if line]
    lines += describe_annotators(project.annotators.model_dump())
    if again := len(project.relabel):
        lines.append(f"{again} labelled tasks are worth another look: the Data Manager's tab {TITLE!r} lists them")
    options = {name: row.model_dump(by_alias=True, exclude_none=True) for name, row in project.options.items()}
    if options:
        lines.append(f"options: {describe_options(options)}")
    if project.disk is not None:
        lines.append(_disk(project.disk, now))
    lines += [f"note: {note}" for note in (project.question.notes if project.question is not None else ())]
    lines += _unusable(project)
    return "\n  ".join(lines)


def describe_rounds(project: ProjectStatus) -> str:
    """Every round: what it learned from, how good it is, how long it took and whether one can go back to it.

    Rounds whose records can't be read are named below, with what to do.
    """
    head = f"{'round':>5} {'labels':>6} {'took':>7}  {'strategy':<16} result"
    return "\n".join([head, *(_row(project, record) for record in project.rounds), *_damaged(project)])


def _row(project: ProjectStatus, record: RoundStatus) -> str:
    took = "unknown" if record.took is None else duration(record.took)
    kept = "" if record.has_model or record.kind == "seed" else "  (weights not kept)"
    return (
        f"{record.number:>5} {record.labels:>6} {took:>7}  {record.strategy:<16} "
        f"{_result(record)}{_mark(project, record)}{kept}"
    )


def _troubles(project: ProjectStatus) -> Iterator[str]:
    if project.problem is not None:
        yield f"PROBLEM while trying to {project.problem.step}: {project.problem.message}"
    yield from _damaged(project)
    for one in project.findings:
        yield f"{SEVERITY[one.severity]}: {one.sentence}"
    if project.refused and not project.problem:
        yield (
            "warning: When it was last set up in Label Studio it was refused, so what was set before still counts. "
            f"{project.refused}"
        )


def _damaged(project: ProjectStatus) -> list[str]:
    return [f"DAMAGED: {sentence}" for sentence in project.damaged]


def _question(question: Question) -> str:
    shown = question.classes[:MOST_CLASSES]
    more = ", ..." if len(question.classes) > MOST_CLASSES else ""
    parts = ", of regions" if question.of_regions else ""
    return f'{question.tag} "{question.name}" ({question.kind}{parts}): {", ".join(shown)}{more}'


def _pool(project: ProjectStatus) -> str:
    counts = project.counts
    parts = [f"{project.tasks} tasks, {project.answered} answered; {project.clips} clips decoded"]
    if counts.tested or counts.untested:
        parts.append(f"{counts.tested} of {counts.tested + counts.untested} test clips labelled")
    if counts.skipped:
        parts.append(f"{counts.skipped} skipped")
    if project.in_progress:
        parts.append(f"{project.in_progress} clips wait for further votes before they are learned")
    parts.append(f"{counts.unusable} tasks with unusable audio")
    return ", ".join(parts)


def _rounds(project: ProjectStatus) -> Iterator[str]:
    shown = project.rounds[-MOST_ROUNDS:]
    if hidden := len(project.rounds) - len(shown):
        yield f"{hidden} earlier rounds (`aftertone rounds {project.project}`)"
    for record in shown:
        yield f"round {record.number:>3}  {record.labels:>5} labels  {_result(record)}{_mark(project, record)}"
    if project.standing and (exported := _as_exported(project.standing[-1])):
        yield exported


def _result(record: RoundStatus) -> str:
    if record.kind == "seed":
        return "seed set, no model yet"
    if record.metrics is None:
        return "no test labels yet"
    return f"{record.metrics.summary} on {record.metrics.clips} test clips ({record.metrics.scope})"


def _mark(project: ProjectStatus, record: RoundStatus) -> str:
    served = "  <- served to annotators" if record.number == project.serving else ""
    return served + ("  (rolled back)" if record.rolled_back else "")


def _as_exported(record: RoundStatus) -> str:
    """How good an export is without its clip head; nothing where that is no other model."""
    plain = record.plain_metrics
    if plain is None or plain == record.metrics:
        return ""
    return f"as exported, for single clips through transformers' pipeline: {plain.summary}"


def _disk(disk: Disk, now: float) -> str:
    total = disk.pool + disk.features + disk.rounds + disk.adapted + disk.other
    return (
        f"{size(total)} on disk: clips {size(disk.pool)}, their features {size(disk.features)}, rounds "
        f"{size(disk.rounds)}, adapted backbone {size(disk.adapted)}, other {size(disk.other)} (counted "
        f"{ago(disk.at, now)})"
    )


def _unusable(project: ProjectStatus) -> Iterator[str]:
    """Tasks without usable audio, those of a refused host apart: a finding speaks of these."""
    told = [row for row in project.unusable if refused_host(row.reason) is None]
    seen: Counter[str] = Counter()
    for row in told:
        seen[row.reason] += 1
        if seen[row.reason] <= MOST_UNUSABLE:
            yield f"task {row.task}: {row.reason}"
    for reason, count in seen.items():
        if count > MOST_UNUSABLE:
            yield f"{count - MOST_UNUSABLE} more tasks: {reason} (`aftertone status --json` lists all)"
