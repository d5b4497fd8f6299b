"""What Label Studio tells, in whatever protocol it arrived: wake the project's worker, who asks what is true."""

import threading
import time
from collections.abc import Mapping
from typing import Any

from aftertone.errors import DamagedRecordError
from aftertone.extra_params import parse_extra_params
from aftertone.pipeline.connecting import FINDING, check_usable
from aftertone.pipeline.jobs import JobQueue
from aftertone.server.predict import latest_version
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Connection, Problem
from aftertone_model.errors import AftertoneError

START_TRAINING = "START_TRAINING"
WAKE_SECONDS = 2.0  # between two wake-ups of a project: whatever happens within is seen at the second


class Events:
    """Events of every project of one MODEL_DIR. Nothing in them is believed; they say when to ask Label Studio."""

    def __init__(self, settings: Settings, jobs: JobQueue) -> None:
        self._settings, self._jobs = settings, jobs
        self._store = Store(settings.model_dir)
        self._lock = threading.Lock()
        self._woken: dict[int, float] = {}  # project -> monotonic time of its last wake-up, which may be to come

    def connected(self, project: int, label_config: str, extra_params: Any) -> str:
        """Somebody says that Label Studio connects a project so. Returns the version to answer with.

        Args:
            extra_params: the project's options as Label Studio sends them.

        Raises:
            LabelConfigError: the project asks no question that Aftertone can learn.
            SettingsError: an option isn't known or its value doesn't fit.
            MethodError: the method can't learn this kind of label, or needs an option that isn't given.
            StrategyError: the options name no query strategy, or one that can't rank this kind of label.
            UnknownProjectError: Label Studio said a moment ago that it doesn't know the project.
            TooManyProjectsError: too many unconfirmed projects ask at once.
        """
        store = self._store.project(project)
        try:
            options = parse_extra_params(extra_params)
            check_usable(label_config, self._settings.for_project(options))
        except AftertoneError as error:
            self._store.refused.add(project, str(error), label_config, known=store.connected)
            raise
        self._store.refused.withdraw(project)
        if not store.connected:
            self._ask_to_connect(project)
        elif _is_news(store, extra_params, options):
            store.request_setup()
            self._wake(project)
        return latest_version(store, self._settings)

    def happened(self, project: int, action: str, *, trusted: bool, connects: bool = False) -> None:
        """Something changed in a project. A hint, nothing more: what is true is read from Label Studio later.

        Args:
            trusted: whether the caller may start a training.
            connects: whether a project that isn't known asks to connect by this, for hosts that pass on no /setup.
        """
        store = self._store.project(project)
        if store.connected:
            if action == START_TRAINING and trusted:
                store.request_training()
            self._wake(project)
        elif connects:
            self._ask_to_connect(project)

    def secret(self, project: int) -> str:
        """What Label Studio sends along with the project's webhooks; '' while it sends nothing."""
        return self._store.project(project).webhook_secret

    def _ask_to_connect(self, project: int) -> None:
        if self._store.unconfirmed.ask(project):
            self._wake(project)

    def _wake(self, project: int) -> None:
        now = time.monotonic()
        with self._lock:
            last = self._woken.get(project, now - WAKE_SECONDS)
            if last > now:
                return  # the wake-up to come sees this too
            due = self._woken[project] = max(now, last + WAKE_SECONDS)
        self._jobs.wake(project, after=due - now)


def _is_news(store: ProjectStore, extra_params: Any, options: Mapping[str, Any]) -> bool:
    """Whether Label Studio may connect a project in another way than it last confirmed.

    It calls /setup thousands of times, and for each model of the project whenever the worker asks it.
    """
    try:
        known = store.read(Connection)
    except DamagedRecordError:
        known = None
    if known is None or not known.url or ((problem := store.read(Problem)) is not None and problem.step == FINDING):
        return True
    return options != known.extra_params and extra_params not in known.others
