"""The classic hooks: Aftertone as a `LabelStudioMLBase`, for teams that host models with label-studio-ml.

Works under label-studio-ml 1.0.9 (PyPI) and 2.x (GitHub), which call these methods differently. Both build the object
anew for every request, so it holds nothing; an `aftertone worker` beside the host does the work.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from label_studio_ml.model import LabelStudioMLBase

from aftertone.pipeline.jobs import JobQueue
from aftertone.server.events import Events
from aftertone.server.predict import predict
from aftertone.server.requests import project_id
from aftertone.settings import load_settings
from aftertone.store.project import Store


class Aftertone(LabelStudioMLBase):
    """Answers predictions from the served round and hands every event to the worker."""

    def predict(  # pyright: ignore[reportIncompatibleMethodOverride] -- 2.x passes `context` by position
        self, tasks: Sequence[Mapping[str, Any]], context: Any = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """One answer per task, in order. `context` and the rest, which hosts pass along, are not needed."""
        del context, kwargs
        settings = load_settings()
        store = Store(settings.model_dir)
        label_config = self.label_config or ""
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
        number, settings = project_id(data.get("project")), load_settings()
        # Hosts don't pass on /setup: an unknown project connects by its first event.
        _events(settings.redis_url, settings.model_dir).happened(number, event, trusted=True, connects=True)
        return {"project": number}


@lru_cache(maxsize=1)
def _events(redis_url: str, model_dir: Path) -> Events:
    """One for the life of the host's process, with one connection to the queue's Redis."""
    return Events(load_settings(), JobQueue.connect(redis_url, model_dir))
