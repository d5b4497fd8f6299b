"""What Label Studio tells, in whatever protocol it arrived: remember what matters and wake the project's worker."""

from collections.abc import Mapping
from typing import Any

from aftertone.errors import DamagedRecordError
from aftertone.labelstudio.label_config import parse_label_config
from aftertone.pipeline.jobs import JobQueue
from aftertone.server.predict import latest_version
from aftertone.settings import Settings
from aftertone.store.project import Store
from aftertone.store.records import Connection
from aftertone_model.errors import AftertoneError

START_TRAINING = "START_TRAINING"


class Events:
    """Events of every project of one MODEL_DIR."""

    def __init__(self, settings: Settings, jobs: JobQueue) -> None:
        self._settings, self._jobs = settings, jobs
        self._store = Store(settings.model_dir)

    def connected(self, project: int, label_config: str, extra_params: Mapping[str, Any]) -> str:
        """Label Studio connects a project with its options. Returns the version to answer with.

        Raises:
            LabelConfigError: the project asks no question that Aftertone can learn.
            SettingsError: an option isn't known or its value doesn't fit.
        """
        store = self._store.project(project)
        self._settings.for_project(extra_params)
        parse_label_config(label_config)
        store.connect(Connection(project=project, label_config=label_config, extra_params=extra_params))
        self._jobs.wake(project)
        return latest_version(store)

    def happened(self, project: int, action: str, *, trusted: bool, label_config: str = "") -> None:
        """Something changed in a project. A hint, nothing more: what is true is read from Label Studio later.

        Args:
            trusted: whether the caller may start a training.
            label_config: connects the project with the options that are known, for hosts that pass on no /setup.
        """
        if label_config:
            store = self._store.project(project)
            try:
                known = store.read(Connection)
            except DamagedRecordError:
                known = None
            extra_params = known.extra_params if known else {}
            store.connect(Connection(project=project, label_config=label_config, extra_params=extra_params))
        if project in self._store.projects():
            if action == START_TRAINING and trusted:
                self._store.project(project).request_training()
            self._jobs.wake(project)


def project_id(raw: Any) -> int:
    """The project's number from what Label Studio sends: 5, "5" or "5.1795222710".

    Raises:
        AftertoneError: there is none.
    """
    try:
        return int(str(raw).split(".")[0])
    except ValueError:
        raise AftertoneError(
            "The request names no project. Webhooks need `send payload` switched on (Label Studio: Settings > "
            "Webhooks)."
        ) from None
