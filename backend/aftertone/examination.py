"""`aftertone doctor`: the checks of every look, asked of Label Studio, Redis and this machine right now; and repair."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from aftertone.doctor.check import Check, Repair
from aftertone.doctor.disk import free
from aftertone.doctor.facts import Look, Machine, Standing
from aftertone.doctor.registry import CHECKS, examine, examine_machine, examine_standing
from aftertone.doctor.servers import silent_servers
from aftertone.doctor.webhook_checks import protected
from aftertone.errors import LabelStudioError
from aftertone.extra_params import parse_extra_params
from aftertone.faults import explain, unwritable
from aftertone.labelstudio.client import LabelStudio
from aftertone.labelstudio.snapshot import read_snapshot
from aftertone.labelstudio.tabs import read_tabs
from aftertone.pipeline.connecting import ASK_SECONDS, check_usable
from aftertone.pipeline.dataset import heard_as, join
from aftertone.pipeline.jobs import JobQueue
from aftertone.pipeline.looking import look_at
from aftertone.pipeline.method_needs import method_lacks
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Connection, Finding, Problem, Tasks

Connect = Callable[[Settings], LabelStudio]


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What was found, and what was done about it."""

    finding: Finding
    project: int | None = None  # None: of what all projects depend on
    mended: str = ""  # what was done; '' for nothing
    failed: str = ""  # why it couldn't be mended

    @property
    def needs_somebody(self) -> bool:
        """Whether it is a problem that wasn't mended."""
        return self.finding.severity == "problem" and not self.mended

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "project": self.project,
            **self.finding.model_dump(),
            "mendable": CHECKS[self.finding.key].mend is not None,
            "mended": self.mended,
            "failed": self.failed,
        }


def describe(examined: Examined) -> str:
    """A finding for people."""
    finding = examined.finding
    where = "" if examined.project is None else f"Project {examined.project}, "
    severity = "PROBLEM" if finding.severity == "problem" else finding.severity
    lines = [f"{where}{severity} ({finding.key}): {finding.what}", f"  Why it matters: {finding.why}"]
    if examined.mended:
        lines.append(f"  Mended: {examined.mended}")
    elif finding.cure:
        lines.append(f"  Cure: {finding.cure}")
    if examined.failed:
        lines.append(f"  It couldn't be mended: {examined.failed}")
    return "\n".join(lines)


def client(settings: Settings) -> LabelStudio:
    """The Label Studio of the settings, which soon gives up where it is away."""
    key = settings.label_studio_api_key.get_secret_value()
    return LabelStudio(settings.label_studio_url, key, timeout=max(ASK_SECONDS, settings.label_studio_timeout))


def examine_all(
    settings: Settings,
    store: Store,
    project: int | None = None,
    *,
    mend: bool = False,
    connect: Connect = client,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Examined]:
    """Everything that is wrong now.

    Args:
        project: the one to look at; None for all.
        mend: whether what can be mended safely is mended.
    """
    label_studio, failure, expires = None, None, None
    try:
        label_studio = connect(settings)
        expires = label_studio.token_expires
        label_studio.whoami()
    except LabelStudioError as error:
        failure = error
    machine = _machine(settings, store, environment, failure, expires)
    yield from (Examined(finding=finding) for finding in examine_machine(machine))
    if label_studio is None:
        return
    with closing(label_studio):
        every = sorted({*store.projects(), *store.refused.current()})
        for number in every if project is None else [project]:
            if failure is None:
                yield from _project(number, settings, store.project(number), label_studio, mend=mend)


def _machine(
    settings: Settings,
    store: Store,
    environment: Mapping[str, str],
    failure: Exception | None,
    expires: float | None,
) -> Machine:
    alive = store.running.alive()
    different = {one.name: said for one in alive if (said := one.differences(*settings.shared()))}
    # Without REDIS_URL its Redis lives as long as one of our processes.
    redis = JobQueue.connect(settings.redis_url, settings.model_dir).trouble() if settings.redis_url or alive else ""
    return Machine(
        settings=settings,
        environment=environment,
        now=time.time(),
        unwritable=unwritable(settings.model_dir),
        free=free(settings.model_dir),
        redis=redis,
        workers=sum(one.kind == "worker" for one in alive),
        silent=tuple(silent_servers(store)),
        server_runs=any(one.kind == "server" for one in alive),
        differing=different,
        label_studio=failure,
        token_expires=expires,
    )


def _project(
    project: int, settings: Settings, store: ProjectStore, label_studio: LabelStudio, *, mend: bool
) -> Iterator[Examined]:
    look, failure, connected = None, None, True
    try:
        look = _look(project, settings, store, label_studio)
        connected = bool(look.models)
    except Exception as error:
        failure = error
    standing = Standing(failure=failure, problem=store.read(Problem), connected=connected)
    for finding in examine_standing(standing, project):
        yield Examined(project=project, finding=finding)
    if look is None:
        return
    findings = examine(look)
    done = _mend(findings, look, store, label_studio) if mend else {}
    for finding in findings:
        mended, failed = done.get(finding.key, ("", ""))
        yield Examined(project=project, finding=finding, mended=mended, failed=failed)


def _look(project: int, settings: Settings, store: ProjectStore, label_studio: LabelStudio) -> Look:
    label_config = label_studio.project(project).get("label_config") or ""
    models = tuple(label_studio.models(project))
    first = models[0] if models else None
    options = parse_extra_params(first.extra_params) if first is not None else {}
    settings = settings.for_project(options, store.steering.options)
    snapshot, _ = read_snapshot(
        label_studio, project, store.get(Tasks).cache, question=settings.question, classes=settings.classes,
        audio_field=settings.audio_field, speaker_field=settings.speaker_field,
        recording_field=settings.recording_field, count_untouched=settings.count_untouched,
        attributes=settings.attribute_fields,
    )  # fmt: skip
    check_usable(snapshot.label_config, settings)
    state = store.load()
    connection = Connection(
        project=project, label_config=label_config, extra_params=options, url=first.url if first is not None else ""
    )
    dataset = join(snapshot, heard_as(state.sources, settings.channel), time.time())
    dataset = replace(dataset, lacking=method_lacks(snapshot, state, settings))
    tabs = read_tabs(label_studio, project)
    look = look_at(store, snapshot, dataset, state, settings, connection, models=models, tabs=tabs)
    bare = look.url and not protected(look.ours, store.webhook_secret)
    return replace(look, refused_secret="no worker has set it yet, or Label Studio refused that") if bare else look


def _mend(
    findings: list[Finding], look: Look, store: ProjectStore, label_studio: LabelStudio
) -> dict[str, tuple[str, str]]:
    """Mend what can be: key of a check -> what was done, and why it couldn't be."""
    done: dict[str, tuple[str, str]] = {}
    with store.only_writer() as writer:
        repair = Repair(label_studio=label_studio, store=writer, look=look)
        for check in {finding.key: CHECKS[finding.key] for finding in findings}.values():
            if check.mend is not None:
                done[check.key] = _outcome(check, repair)
    return done


def _outcome(check: Check[Any], repair: Repair) -> tuple[str, str]:
    assert check.mend is not None
    try:
        said = check.mend(repair)
    except Exception as error:
        if (why := explain(error)) is None:
            raise
        return "", why
    return said, "" if said else "A worker is at work on the project and mends it, or the model isn't connected."
