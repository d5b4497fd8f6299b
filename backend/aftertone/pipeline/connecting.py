"""Connecting a project as Label Studio says it is connected, whoever claimed so, and a secret for its webhooks."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from typing import Any

from aftertone.doctor.facts import webhook_address
from aftertone.doctor.webhook_checks import protect, protected
from aftertone.errors import DamagedRecordError, LabelStudioError, StoreError, TokenError
from aftertone.extra_params import parse_extra_params
from aftertone.faults import unwritable
from aftertone.labelstudio.client import UNKNOWN, LabelStudio, RefusedError
from aftertone.labelstudio.label_config import Question, parse_label_config
from aftertone.labelstudio.tasks import Snapshot
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore
from aftertone.store.records import Connection, Problem
from aftertone.store.unconfirmed import UnconfirmedProjects
from aftertone_model.backbone_names import check_backbone
from aftertone_model.errors import AftertoneError
from aftertone_model.method_names import check_method
from aftertone_model.strategy_names import check_strategy, check_strategy_name

log = logging.getLogger(__name__)

READING = "read the project"  # name of the step that looks
ASK_SECONDS = 10.0  # that Label Studio has to answer while a command starts
FINDING = "find the project"  # name of the step in which Label Studio doesn't know a project any more


def check_start(settings: Settings) -> None:
    """Tell at start what can't go well: an unknown strategy, a backbone that isn't there, or a token that is refused.

    Where Label Studio is away, nothing is wrong with the settings.

    Raises:
        StoreError: nothing can be written into MODEL_DIR.
        StrategyError: there is no such strategy.
        BackboneError: BACKBONE is a folder that isn't there or holds no model that can be one.
        TokenError: Label Studio doesn't take the token, or there is none.
    """
    if problem := unwritable(settings.model_dir):
        raise StoreError(problem)
    check_backbone(settings.backbone)
    if settings.strategy:
        check_strategy_name(settings.strategy)
    key = settings.label_studio_api_key.get_secret_value()
    try:
        with closing(LabelStudio(settings.label_studio_url, key, timeout=ASK_SECONDS)) as label_studio:
            label_studio.whoami()
    except TokenError:
        raise
    except LabelStudioError as error:
        log.warning("%s It is tried again until it answers.", error, extra={"action": "label_studio_away"})


def check_usable(label_config: str, settings: Settings) -> Question:
    """The question that is learned of a project, if it can be used at all.

    Args:
        settings: with the project's options.

    Raises:
        LabelConfigError: the label config asks no question that can be learned, or several.
        MethodError: the method can't learn this kind of label, or needs a setting that is empty.
        StrategyError: there is no such query strategy, or it can't rank this kind of label.
    """
    question = parse_label_config(label_config, settings.question, settings.classes)
    schema = question.schema
    of_regions = question.regions is not None
    check_method(settings.method, predicts=schema.predicts, source=settings.source, of_regions=of_regions)
    if settings.strategy:
        check_strategy(settings.strategy, exclusive=schema.exclusive, predicts=schema.predicts)
    return question


def confirm(
    project: int,
    store: ProjectStore,
    unconfirmed: UnconfirmedProjects,
    services: Callable[[], AbstractContextManager[tuple[LabelStudio, *tuple[Any, ...]]]],
) -> float | None:
    """Store a project that asked to connect, if Label Studio says that it is connected.

    Where Label Studio knows the project and no model of it, nothing happens: it calls /setup before it saves a model,
    and again after.

    Returns:
        Seconds after which to try again, where Label Studio couldn't say.
    """
    extra = {"action": "connecting", "project": project}
    try:
        with services() as (label_studio, *_):
            found = _read(project, label_studio)
        if found is not None:
            store.connect(found)
    except Exception as error:
        if isinstance(error, RefusedError) and error.status in UNKNOWN:
            unconfirmed.refuse(project)
            log.warning("Project %d asked to connect: %s", project, error, extra=extra)
            return None
        expected = isinstance(error, AftertoneError)
        message = str(error) if expected else f"{type(error).__name__}: {error}"
        log.warning("Project %d can't connect: %s", project, message, exc_info=not expected, extra=extra)
        return unconfirmed.postpone(project, message)
    if found is not None:
        unconfirmed.leave(project)
        log.info("Project %d is connected", project, extra=extra)
    return None


def refresh(project: int, store: ProjectStore, label_studio: LabelStudio) -> Connection:
    """How a known project is connected; Label Studio is asked where that may have changed, or the last look failed.

    Raises:
        DamagedRecordError: what is known is damaged, and Label Studio names no model any more.
    """
    with store.setup_request() as requested:
        try:
            known, damage = store.read(Connection), None
        except DamagedRecordError as error:
            known, damage = None, error
        problem = store.read(Problem)
        failed = problem is not None and problem.step == READING  # perhaps by options of a model that is gone
        if (known is None or requested or failed) and (found := _read(project, label_studio)) is not None:
            store.connect(found)
            return found
    if damage is not None:
        raise damage
    return known or Connection(project=project, label_config="")


def _read(project: int, label_studio: LabelStudio) -> Connection | None:
    label_config = label_studio.project(project).get("label_config") or ""
    first, *others = label_studio.models(project) or [None]
    if first is None:
        return None
    return Connection(
        project=project,
        label_config=label_config,
        extra_params=parse_extra_params(first.extra_params),
        url=first.url,
        others=tuple(model.extra_params for model in others if model is not None),
    )


def protect_webhook(label_studio: LabelStudio, snapshot: Snapshot, store: ProjectStore, url: str) -> str:
    """Let Label Studio send the project's secret along with its webhooks, so that no other's count.

    Args:
        url: of this backend, as Label Studio reaches it; '': nothing is done.

    Returns:
        Why Label Studio couldn't be given it; '' where all is well.
    """
    ours = [webhook for webhook in snapshot.webhooks if url and webhook.url == webhook_address(url)]
    if protected(ours, store.webhook_secret):
        return ""
    try:
        protect(label_studio, ours, store)
    except RefusedError as error:
        return str(error)
    return ""
