"""What people may tell the worker of a project, by command or over HTTP: one function each, which says what follows.

None needs a running worker: it is recorded in the store, and a worker acts on it at its next report of progress, or
when it next looks at the project. Nothing here touches an annotation, in Label Studio or in the store.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from pydantic import SecretStr

from aftertone.clean import BUSY, EXPORTING, forget_project
from aftertone.doctor.disk import size
from aftertone.errors import DamagedRecordError, LabelStudioError, SettingsError, StoreError
from aftertone.labelstudio.client import UNKNOWN, LabelStudio, RefusedError
from aftertone.options import known_settings, shown
from aftertone.settings import OLD_NAMES, PROJECT_OPTIONS, Settings
from aftertone.store.leftovers import size_on_disk
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Connection, Sources
from aftertone.store.requests import Steering as SteeringRecord
from aftertone_model.method_names import check_method
from aftertone_model.strategy_names import check_strategy_name

Ask = Callable[[], AbstractContextManager[LabelStudio]]


class Steering:
    """Every project of one MODEL_DIR. Each method returns a sentence for people.

    Every method raises NotKeptError where nothing is kept of the project.
    """

    def __init__(self, settings: Settings, wake: Callable[[int], bool], ask: Ask) -> None:
        """
        Args:
            wake: has a worker look at a project; returns whether one could be told.
            ask: a connection to Label Studio for as long as the block runs.
        """
        self._settings, self._wake, self._ask = settings, wake, ask
        self._store = Store(settings.model_dir)

    def pause(self, project: int) -> str:
        """Do nothing more for a project until it is resumed; the queue goes on being served."""
        store = self._project(project)
        if store.steering.paused is not None:
            return f"Project {project} is paused already; `aftertone resume {project}` goes on."
        store.steer(_paused)
        self._wake(project)
        return (
            f"Project {project} is paused: a step under way ends within seconds and goes on from what it has saved "
            f"after `aftertone resume {project}`. Annotators are served the same queue meanwhile."
        )

    def resume(self, project: int) -> str:
        """Go on with a project that was paused."""
        store = self._project(project)
        if store.steering.paused is None:
            return f"Project {project} isn't paused."
        store.steer(lambda steering: steering.model_copy(update={"paused": None}))
        return f"Project {project} goes on {self._when(project)}."

    def cancel(self, project: int) -> str:
        """End the step under way, throw away what it has begun, and pause the project."""
        store = self._project(project)
        store.steer(_paused)
        store.request_cancel()
        self._wake(project)
        return (
            f"Project {project} is paused. A training or adaptation under way ends within seconds, and what it has "
            f"made so far is thrown away; complete rounds and fetched audio stay. `aftertone resume {project}` goes on."
        )

    def rollback(self, project: int, number: int) -> str:
        """Serve and export a round as the newest; later rounds are kept, marked as rolled back. Labels all stay.

        Raises:
            StoreError: there is no such round, it is the newest already, or its model isn't kept.
        """
        store = self._project(project)
        store.round(number)
        kept, standing = store.with_model(), store.standing_numbers()
        if number not in kept:
            able = ", ".join(map(str, kept)) or "none yet"
            raise StoreError(f"Round {number} has no model any more, or had none. Rounds that have one: {able}.")
        if standing and standing[-1] == number:
            raise StoreError(f"Round {number} is the newest that counts already.")
        later = [other for other in store.round_numbers() if other > number]
        store.steer(
            lambda steering: steering.model_copy(
                update={
                    "rolled_back": tuple(sorted({n for n in steering.rolled_back if n < number} | set(later))),
                    "chosen": number,
                }
            )
        )
        gone = f" {_rounds(later)} kept and marked as rolled back." if later else ""
        return (
            f"Round {number} of project {project} is exported as the newest from now on, and served to annotators "
            f"{self._when(project)}.{gone} Labels stay as they are, and the next batch of them makes the next round. A "
            f"round that is being made right now still replaces it, unless `aftertone cancel {project}` ends that."
        )

    def train(self, project: int) -> str:
        """Train on the labels there are, new ones or not."""
        store = self._project(project)
        store.request_training(anyway=True)
        if store.steering.paused is not None:
            return f"Project {project} is paused; it trains after `aftertone resume {project}`."
        return f"Project {project} trains on the labels there are {self._when(project)}."

    def ask(self, project: int, clips: Sequence[str]) -> str:
        """Have annotators asked for clips next, before what the query strategy chose.

        Raises:
            StoreError: none of these is a clip of the project.
        """
        store = self._project(project)
        known = {source.clip for source in store.get(Sources).sources.values()}
        wanted = [clip for clip in clips if clip in known]
        if not wanted:
            raise StoreError(f"None of these is a clip of project {project}. Choose some that search or status lists.")
        store.ask_for(wanted)
        return (
            f"{len(wanted)} clip{'' if len(wanted) == 1 else 's'} of project {project} will be asked for before all "
            f"others {self._when(project)}; those of the test set keep their place."
        )

    def adapt(self, project: int) -> str:
        """Adapt the backbone again, to a pool that has grown since.

        Raises:
            StoreError: it isn't adapted yet, so that nothing is to be done again.
        """
        store = self._project(project)
        store.forget_adaptation()
        if store.steering.paused is not None:
            return f"Project {project} is paused; the backbone is adapted after `aftertone resume {project}`."
        return f"The worker adapts the backbone {self._when(project)}; the next round starts from it."

    def set(self, project: int, options: Mapping[str, Any]) -> str:
        """Set options of a project, which win over its extra params in Label Studio; None takes one back.

        Raises:
            SettingsError: an option isn't one of a project, or its value doesn't fit.
            LabelConfigError: the label config, as last seen, doesn't ask the question that is named.
            MethodError: the method needs a SOURCE, and none is set.
        """
        store = self._project(project)
        options = {OLD_NAMES.get(name, name): value for name, value in options.items()}
        if not options:
            raise SettingsError(f"Name an option as key=value, or key= to take it back. {_known()}")
        if unknown := sorted(set(options) - set(PROJECT_OPTIONS)):
            raise SettingsError(f"{', '.join(map(repr, unknown))} can't be set for a project. {_known()}")
        given = {name: value for name, value in options.items() if value is not None}
        checked = self._settings.for_project({}, given)
        if given.get("strategy"):
            check_strategy_name(checked.strategy)
        if checked.question:
            _check_question(store, checked.question)
        after_all = known_settings(self._settings, store).for_project({}, given)
        check_method(after_all.method, predicts="probabilities", source=after_all.source)
        values = {name: _plain(getattr(checked, name)) for name in given}

        def change(steering: SteeringRecord) -> SteeringRecord:
            kept = {name: value for name, value in steering.options.items() if name not in options}
            return steering.model_copy(update={"options": {**kept, **values}})

        after = store.steer(change).options
        said = (
            ", ".join(f"{name}={shown(name, value)}" for name, value in sorted(after.items())) or "no option any more"
        )
        later = (
            " A batch that is asked for already keeps its size." if {"batch_size", "seed_size"} & options.keys() else ""
        )
        if "channel" in options:
            later += " Files with several channels are fetched and heard again; their labels stay."
        return f"Set for project {project}: {said}. It counts from the next step on, {self._when(project)}.{later}"

    def forget(self, project: int, *, yes: bool, force: bool) -> str:
        """Remove all that is kept of a project; in Label Studio nothing changes.

        Args:
            yes: really; without it, what would go is said.
            force: also while Label Studio has a model connected to it, or can't be asked.

        Raises:
            StoreError: it is connected, a worker is at it, or an export is being made.
        """
        store = self._project(project)
        unknown = "" if force else self._check_disconnected(project)
        if not yes:
            return (
                f"{store.folder} takes {size(size_on_disk(store.folder))}. Add --yes to remove it with its rounds for "
                f"good. Labels are Label Studio's and stay. {unknown}".rstrip()
            )
        if unknown:
            raise StoreError(unknown)
        said = forget_project(self._store, project, dry_run=False)
        if BUSY in said:
            raise StoreError(f"A worker is at project {project}. `aftertone pause {project}` ends that within seconds.")
        if EXPORTING in said:
            raise StoreError(said)
        self._store.unconfirmed.leave(project)
        return said

    def _check_disconnected(self, project: int) -> str:
        """Why Label Studio can't say whether the project is connected; '' where it says that it isn't.

        Raises:
            StoreError: it is connected.
        """
        force = "`aftertone forget --force` removes it all the same"
        try:
            with self._ask() as label_studio:
                models = label_studio.models(project)
        except RefusedError as error:
            if error.status in UNKNOWN:
                return ""
            return f"Label Studio doesn't say whether project {project} is connected ({error}). {force}."
        except LabelStudioError as error:
            return f"Label Studio can't say whether project {project} is connected ({error}). {force}."
        if models:
            raise StoreError(
                f"Project {project} has a model connected in Label Studio. Disconnect it there first, in its settings. "
                f"{force}, and the project begins anew when Label Studio next calls."
            )
        return ""

    def _project(self, project: int) -> ProjectStore:
        return self._store.kept(project)

    def _when(self, project: int) -> str:
        return "now, if a worker runs" if self._wake(project) else "when it next looks at the project"


def _paused(steering: SteeringRecord) -> SteeringRecord:
    return steering if steering.paused is not None else steering.model_copy(update={"paused": time.time()})


def _rounds(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"Round {numbers[0]} is"
    return f"Rounds {', '.join(map(str, numbers[:-1]))} and {numbers[-1]} are"


def _check_question(store: ProjectStore, question: str) -> None:
    """Check that the label config asks a question, where the label config is known."""
    try:
        connection = store.read(Connection)
    except DamagedRecordError:
        return
    if connection is not None and connection.label_config:
        # It brings Label Studio's SDK, which takes as long to import as all that commands like `pause` need.
        from aftertone.labelstudio.label_config import parse_label_config

        parse_label_config(connection.label_config, question)


def _known() -> str:
    return f"Known: {', '.join(PROJECT_OPTIONS)}."


def _plain(value: Any) -> Any:
    """An option's value as JSON has it."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value
