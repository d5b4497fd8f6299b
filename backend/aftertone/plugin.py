"""The classic hooks: Aftertone as a `LabelStudioMLBase`, for teams that host models with label-studio-ml.

Works under label-studio-ml 1.0.9 (PyPI) and 2.x (GitHub), which call these methods differently. Both build the object
anew for every request, so it holds nothing; an `aftertone worker` beside the host does the work.

Neither passes on what /setup says of the project and its options, nor lets a model choose the version that is answered:
1.0.9 counts its own jobs, 2.x its own releases. So the object looks at the request that it is built for.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Response, after_this_request, has_request_context, request
from label_studio_ml.model import LabelStudioMLBase

from aftertone.faults import explain
from aftertone.pipeline.jobs import JobQueue
from aftertone.server.events import Events
from aftertone.server.predict import predict
from aftertone.server.requests import project_id
from aftertone.settings import load_settings
from aftertone.store.project import Store

log = logging.getLogger(__name__)


class Aftertone(LabelStudioMLBase):
    """Answers predictions from the served round and hands every event to the worker."""

    # What 1.0.9 passes on; 2.x has a list of its own, without what comes before the last two.
    TRAIN_EVENTS = (
        "TASKS_CREATED",
        "TASKS_DELETED",
        "ANNOTATIONS_CREATED",
        "ANNOTATIONS_DELETED",
        "PROJECT_UPDATED",
        "ANNOTATION_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATION_DELETED",
        "START_TRAINING",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As the host calls it; in a call of /setup, what it says is passed on, and the answer is ours."""
        if has_request_context() and request.path.rstrip("/").endswith("/setup"):
            after_this_request(_answer_setup)
        super().__init__(*args, **kwargs)

    def set_extra_params(self, extra_params: Any) -> None:
        """A project's options, which 2.x can keep as text alone. They are read from Label Studio instead."""

    def predict(  # pyright: ignore[reportIncompatibleMethodOverride] -- 2.x passes `context` by position
        self, tasks: Sequence[Mapping[str, Any]], context: Any = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """One answer per task, in order. `context` and the rest, which hosts pass along, are not needed."""
        del context, kwargs
        settings = load_settings()
        store = Store(settings.model_dir)
        # 1.0.9 answers every project by the model that it built for the last /setup, of whichever project.
        asked = _asked().get("label_config")
        label_config = asked if isinstance(asked, str) else self.label_config or ""
        if not tasks:
            return []
        project = store.project(project_id(tasks[0].get("project")))
        labelled = [(task["id"], bool(task.get("is_labeled"))) for task in tasks]
        return predict(project, labelled, label_config, settings)

    def fit(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Something happened in a project: remember it and wake its worker. Returns at once.

        1.0.9 calls fit((), event=..., data=..., ...), 2.x calls fit(event, data, ...).
        """
        event = kwargs.get("event") or (args[0] if args and isinstance(args[0], str) else "")
        data = kwargs.get("data") or (args[1] if len(args) > 1 else {})
        number = project_id(data.get("project"))
        # A host that was begun after its project was connected hears of it first by an event.
        _events().happened(number, event, trusted=True, connects=True)
        return {"project": number}


def _answer_setup(reply: Response) -> Response:
    """Pass on a call of /setup, and answer as `aftertone serve` does: the round's version, or why there can be none."""
    asked = _asked()
    try:
        number, label_config = project_id(asked.get("project")), str(asked.get("schema") or "")
        body = {"model_version": _events().connected(number, label_config, asked.get("extra_params"))}
        status = 200
    except Exception as error:
        if (reason := explain(error)) is None:
            raise
        log.warning("/setup: %s", reason, extra={"action": "request_refused"})  # Label Studio shows the status alone
        body, status = {"error": type(error).__name__, "detail": reason}, 400
    reply.status_code = status
    reply.set_data(json.dumps(body))
    reply.mimetype = "application/json"
    return reply


def _asked() -> Mapping[str, Any]:
    """The body of the request that is being answered; {} outside of one, or where it is no object."""
    body = request.get_json(silent=True) if has_request_context() else None
    return body if isinstance(body, dict) else {}


def _events() -> Events:
    settings = load_settings()
    return _events_of(settings.redis_url, settings.model_dir)


@lru_cache(maxsize=1)
def _events_of(redis_url: str, model_dir: Path) -> Events:
    """One for the life of the host's process, with one connection to the queue's Redis."""
    return Events(load_settings(), JobQueue.connect(redis_url, model_dir))
