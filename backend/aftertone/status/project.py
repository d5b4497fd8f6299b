"""One project's part of the status document."""

import time
from dataclasses import asdict

from aftertone.doctor.data_checks import DISK_LOW, too_full
from aftertone.doctor.disk import needed
from aftertone.options import options_of
from aftertone.pipeline.figures import TaskFigures, task_figures
from aftertone.status.classes import LearnedClasses, learned_classes
from aftertone.status.document import (
    Activity,
    Annotators,
    Attribute,
    ClassMetrics,
    Counts,
    Disk,
    ExportStatus,
    Failure,
    Measured,
    Option,
    ProjectStatus,
    Question,
    RandomShareStatus,
    RatingFigures,
    RoundStatus,
    Untouched,
    Unusable,
)
from aftertone.status.forecast import forecast
from aftertone.status.waiting import next_clips
from aftertone.store.exports import ExportFolder
from aftertone.store.project import ProjectStore
from aftertone.store.records import (
    DiskUse,
    Doing,
    Finding,
    InProgress,
    LearnedQuestion,
    Problem,
    Warnings,
)
from aftertone.store.requests import Asked, Steering
from aftertone.store.rounds import Extension, RandomShare, Round
from aftertone.store.score_table import score_table
from aftertone_model.errors import DamagedFileError
from aftertone_model.evaluation.metrics import Metrics
from aftertone_model.evaluation.rating_metrics import RatingMetrics


def project_status(
    project: int, store: ProjectStore, free: int, refused: str = "", *, brief: bool = False
) -> ProjectStatus:
    """Everything worth knowing about a project, from the store alone.

    Args:
        free: bytes that are free where the store lies.
        refused: why it couldn't be used when it was last set up; '' where it could.
        brief: whether what comes from the round's table of scores is left out.
    """
    figures, steering = task_figures(store), store.steering
    rounds, damaged = readable_rounds(store)
    standing = [record for record in rounds if record.number not in steering.rolled_back]
    last = standing[-1] if standing else None
    failure, doing, disk = store.read(Problem), store.read(Doing), store.read(DiskUse)
    findings = _findings(store, figures, free, disk)
    question = store.read(LearnedQuestion)
    table = score_table(store, last.number) if last is not None and not brief else None
    learned = learned_classes(store, last, table, figures) if last is not None and not brief else LearnedClasses()
    failed = failure and Failure(**failure.model_dump(include={"step", "message", "times", "at"}))
    return ProjectStatus(
        project=project,
        problems=_problems(failed, refused, damaged, findings),
        refused=refused,
        problem=failed,
        paused=steering.paused,
        doing=doing and _activity(doing),
        question=question and Question(**question.model_dump(exclude={"schema_version"})),
        clips=figures.clips,
        counts=_counts(figures),
        tasks=figures.tasks,
        answered=figures.answered,
        in_progress=store.get(InProgress).clips,
        untouched=Untouched(**figures.untouched.as_json()),
        attributes={name: Attribute(**row) for name, row in figures.attributes.items()},
        annotators=Annotators(**figures.annotators.as_json()),
        serving=store.current,
        rounds=_round_rows(store, rounds, steering),
        classes=learned.classes,
        histogram=learned.histogram,
        advice=last.advice if last is not None else "",
        forecast=forecast(last, figures.labelled + figures.tested, figures.annotators) if last is not None else "",
        next_clips=next_clips(store, last, store.read(Extension), table, figures, store.get(Asked).clips)
        if last
        else (),
        relabel=last.relabel if last is not None else (),
        unusable=tuple(Unusable(task=task, reason=reason) for task, reason in figures.unusable.items()),
        options={name: Option(**row) for name, row in options_of(store).items()},
        exports=_exports(store),
        disk=disk and Disk(**disk.model_dump(exclude={"schema_version", "current"})),
        damaged=tuple(damaged),
        findings=findings,
        warnings=tuple(finding.sentence for finding in findings),
    )


def _problems(
    failure: Failure | None, refused: str, damaged: list[str], findings: tuple[Finding, ...]
) -> tuple[str, ...]:
    found = [f"It can't be used as it is set up: {refused}"] if refused and failure else []
    if failure is not None:
        found.append(f"It can't {failure.step}: {failure.message}")
    found += damaged
    return (*found, *(finding.sentence for finding in findings if finding.severity == "problem"))


def _findings(store: ProjectStore, figures: TaskFigures, free: int, disk: DiskUse | None) -> tuple[Finding, ...]:
    low = [DISK_LOW.finding(said) for said in too_full(free, needed(disk, figures.fetched, figures.unfetched))]
    # What the last look found of the disk is found anew.
    return (*low, *(found for found in store.get(Warnings).findings if found.key != DISK_LOW.key))


def _activity(doing: Doing) -> Activity:
    passed, done = doing.at - doing.began, doing.done - doing.first
    rate = done / passed if doing.began and passed > 0 and done > 0 else None
    return Activity(
        stage=doing.stage, done=doing.done, total=doing.total, at=doing.at, rate=rate,
        left=doing.left if doing.total else None,
    )  # fmt: skip


def _counts(figures: TaskFigures) -> Counts:
    return Counts(
        labelled=figures.labelled,
        tested=figures.tested,
        untested=figures.untested,
        skipped=figures.skipped,
        unlabelled=figures.clips - figures.labelled - figures.tested - figures.untested - figures.skipped,
        unusable=len(figures.unusable),
        unfetched=figures.unfetched,
    )


def _round_rows(store: ProjectStore, rounds: list[Round], steering: Steering) -> tuple[RoundStatus, ...]:
    with_model = set(store.with_model())
    return tuple(
        RoundStatus(
            number=record.number,
            version=record.version,
            kind=record.kind,
            created_at=record.created_at,
            strategy=record.strategy,
            labels=record.labels,
            rolled_back=record.number in steering.rolled_back,
            has_model=record.number in with_model,
            metrics=_measured(record.metrics),
            plain_metrics=_measured(record.plain_metrics),
            random_share=_random_share(record.random_share),
            advice=record.advice,
            seconds=record.seconds,
            memory=record.memory,
        )
        for record in rounds
    )


def _measured(metrics: Metrics | RatingMetrics | None) -> Measured | None:
    if metrics is None:
        return None
    kind = ClassMetrics if isinstance(metrics, Metrics) else RatingFigures
    return kind(**asdict(metrics), scope=metrics.scope, summary=metrics.summary)


def _exports(store: ProjectStore) -> dict[str, ExportStatus]:
    found = {}
    for format, (state, one) in ExportFolder(store).states(time.time()).items():
        error = one.error or ("It was interrupted. Press the button again." if state == "failed" else "")
        found[format] = ExportStatus(
            state=state, round=one.round, version=one.version, at=one.ended or one.began, file=one.file,
            bytes=one.bytes, error=error,
        )  # fmt: skip
    return found


def _random_share(share: RandomShare | None) -> RandomShareStatus | None:
    measured = None if share is None else _measured(share.metrics)
    if share is None or measured is None:
        return None
    return RandomShareStatus(metrics=measured, labels=share.labels, rounds=share.rounds)


def readable_rounds(store: ProjectStore) -> tuple[list[Round], list[str]]:
    """The rounds that can be read, and what is wrong with the others."""
    rounds, damaged = [], []
    for number in store.round_numbers():
        try:
            rounds.append(store.round(number))
        except DamagedFileError as error:
            damaged.append(str(error))
    return rounds, damaged
