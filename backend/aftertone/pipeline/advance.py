"""`advance`, the one background job: look at Label Studio and at the store, do the next step, until there is none.

It is told nothing but the project's number. So a lost webhook, a killed worker, a restart, a deleted annotation or two
webhooks at once need no code of their own.

Nearly every run looks and finds nothing to do. So whatever brings torch, which takes seconds and half a gigabyte, is
imported by the step that needs it.
"""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aftertone.doctor.registry import examine
from aftertone.errors import (
    LabelConfigError,
    LabelStudioError,
    LeaseLostError,
    SettingsError,
    StepStoppedError,
    StoreError,
    TasksVanishedError,
)
from aftertone.faults import BUG, explain
from aftertone.labelstudio.client import UNKNOWN, LabelStudio, RefusedError
from aftertone.labelstudio.publish import publish
from aftertone.labelstudio.relabel_tab import publish_tab
from aftertone.labelstudio.snapshot import read_snapshot
from aftertone.labelstudio.tabs import read_tabs
from aftertone.labelstudio.tasks import Snapshot
from aftertone.logs import note
from aftertone.options import known_settings
from aftertone.pipeline.complete import awaited_clips
from aftertone.pipeline.connecting import FINDING, READING, check_usable, confirm, protect_webhook, refresh
from aftertone.pipeline.dataset import Dataset, heard_as, join
from aftertone.pipeline.figures import save_figures
from aftertone.pipeline.housekeeping import keep_house
from aftertone.pipeline.looking import look_at
from aftertone.pipeline.method_needs import method_lacks
from aftertone.pipeline.notify import Notifier
from aftertone.pipeline.plan import Adapt, Extend, Ingest, Publish, Rank, Seed, Step, Train, Wait, next_step
from aftertone.pipeline.pruning import prune_when_due
from aftertone.pipeline.queue import asked_tasks, extended
from aftertone.pipeline.services import Services, connect
from aftertone.settings import Settings
from aftertone.store.leftovers import tidy
from aftertone.store.project import Store
from aftertone.store.records import Connection, Doing, HeldOut, LearnedQuestion, Problem, Tasks, Warnings
from aftertone.store.rounds import Extension, Round
from aftertone.store.state import State
from aftertone_model.errors import AftertoneError, DamagedFileError, StrategyError
from aftertone_model.progress import hide_library_bars, throttled

if TYPE_CHECKING:
    from aftertone.pipeline.steps import LearningSteps

log = logging.getLogger(__name__)

NAMES = {
    Ingest: "fetch audio", Adapt: "adapt the backbone", Seed: "find the seed set", Train: "train",
    Rank: "rank the pool", Publish: "publish the queue",
    Extend: "extend the queue",
}  # fmt: skip


class Advance:
    """One run of the job."""

    def __init__(
        self,
        project: int,
        settings: Settings,
        wake: Callable[[float], None],
        connect: Callable[[Settings], AbstractContextManager[Services]] = connect,
    ) -> None:
        """
        Args:
            wake: asks for another run of this job after so many seconds.
        """
        self._project, self._settings, self._wake, self._connect = project, settings, wake, connect
        self._all = Store(settings.model_dir)
        self._store = self._all.project(project)
        self._connection = Connection(project=project, label_config="")  # until it is read
        self._doing = READING
        self._damaged: set[Path] = set()  # set aside in this run
        self._reported: Doing | None = None
        self._notifier: Notifier | None = None  # once the project's settings are known
        self._report = throttled(self._save_progress)
        self._report_step = throttled(self._go_on)

    def run(self) -> bool:
        """Step until there is nothing to do, as the project's only writer.

        A failure is remembered for `aftertone status` and tried again later.

        Returns:
            False: another worker is the project's writer, so that nothing was done.
        """
        try:
            if not self._store.connected and not self._store.folder.is_file():  # which is told of below
                services = partial(self._connect, self._settings)
                pause = confirm(self._project, self._store, self._all.unconfirmed, services)
                if pause is not None:
                    self._wake(pause)
                if not self._store.connected:
                    return True
            with self._store.only_writer() as store:
                if store is None:
                    return False
                self._store = store
                self._run()
                self._notify()
        except LeaseLostError as error:  # its new holder goes on from what was whole by then
            log.warning("Project %d: %s This job ends.", self._project, error, extra=self._extra("lease_lost"))
        except (OSError, StoreError) as error:
            log.warning("Project %d: %s", self._project, explain(error), extra=self._extra("step_failed"))
        return True

    def _run(self) -> None:
        try:
            if self._gone():
                return
            tidy(self._store)
            self._store.migrate(HeldOut, Warnings)
            self._notifier = Notifier(self._project, self._store, known_settings(self._settings, self._store))
            with self._connect(self._settings) as services:
                self._connection = refresh(self._project, self._store, services[0])
                options = self._store.steering.options
                self._settings = self._settings.for_project(self._connection.extra_params, options)
                self._notifier = Notifier(self._project, self._store, self._settings)
                previous: Step | None = None
                while True:
                    try:
                        step = self._next(services, previous)
                    except DamagedFileError as error:
                        if not error.set_aside or error.path in self._damaged:
                            raise
                        self._damaged.add(error.path)
                        self._store.note_damage(error)
                        step = None  # the file is made again
                    except TasksVanishedError:
                        step = None  # the next look shows which
                    except StepStoppedError as error:
                        log.info("Project %d: %s", self._project, error, extra=self._extra("step_stopped"))
                        step = None
                    if isinstance(step, Wait):
                        return
                    if isinstance(step, Publish):
                        self._notify()
                    previous = step
        except LeaseLostError:
            raise
        except Exception as error:
            if isinstance(error, RefusedError) and error.status in UNKNOWN and self._doing == READING:
                self._doing = FINDING
            message = explain(error)
            if isinstance(error, (LabelConfigError, SettingsError, StrategyError)) and self._doing == READING:
                self._all.refused.add(self._project, str(error), known=True)
            expected = message is not None
            self._remember(message or f"{type(error).__name__}: {error}. {BUG}")
            level = logging.WARNING if expected else logging.ERROR
            log.log(
                level, "Project %d: can't %s: %s", self._project, self._doing, message or error,
                exc_info=not expected, extra=self._extra("step_failed"),
            )  # fmt: skip

    def _gone(self) -> bool:
        """Whether Label Studio said a short time ago that it doesn't know the project any more."""
        problem = self._store.read(Problem)
        lost = problem is not None and problem.step == FINDING and problem.pause(time.time()) > 0
        return lost and not self._store.setup_requested

    def _next(self, services: Services, previous: Step | None) -> Step:
        """Do the next step. Returns it; Wait when there is none, or when it failed too short a time ago."""
        self._doing = READING
        with self._store.cancel_request() as cancelled:
            if cancelled:
                self._store.forget_begun()
        snapshot, dataset, state = self._look(services[0])
        step = next_step(snapshot, dataset, state, self._settings, time.time())
        problem = self._store.read(Problem)
        if problem is not None and problem.step in (READING, FINDING):
            self._store.remove(Problem)
        if isinstance(step, Wait):
            self._report(step.why, 0, 0)
            if step.seconds is not None:
                self._wake(step.seconds)
            prune_when_due(self._store)
            return step
        self._doing = NAMES[type(step)]
        if problem is not None and problem.step == self._doing and (pause := problem.pause(time.time())):
            self._wake(pause)
            return Wait(why="a step that failed is tried again later")
        if step == previous:
            raise AftertoneError(
                "The step went well but changed nothing. Somebody or something undoes it in Label Studio; check "
                "the project's settings and that no second backend serves it."
            )
        note(round=state.last.number if isinstance(step, Publish | Extend) and state.last else state.next_number)
        log.info("Project %d: %s", self._project, self._doing, extra=self._extra("step_begun"))
        self._save_progress(self._doing, 0, 0)  # some steps take a while before they can tell how far they are
        began = time.monotonic()
        self._do(step, snapshot, dataset, state, services)
        self._store.remove(Problem)
        log.info(
            "Project %d: %s: done in %.1f s", self._project, self._doing, time.monotonic() - began,
            extra=self._extra("step_done"),
        )  # fmt: skip
        return step

    def _look(self, label_studio: LabelStudio) -> tuple[Snapshot, Dataset, State]:
        store, settings = self._store, self._settings
        known = store.get(Tasks).cache
        snapshot, cache = read_snapshot(
            label_studio, self._project, known, question=settings.question, classes=settings.classes,
            audio_field=settings.audio_field, speaker_field=settings.speaker_field,
            recording_field=settings.recording_field, count_untouched=settings.count_untouched,
            attributes=settings.attribute_fields,
        )  # fmt: skip
        check_usable(snapshot.label_config, settings)  # a wrong strategy should not wait for the first labels
        if cache != known:
            store.save(Tasks(cache=cache))
        question = snapshot.question
        learned = LearnedQuestion(
            name=question.control, tag=question.tag, kind=question.schema.kind, classes=question.classes,
            notes=question.notes,
            of_regions=question.regions is not None,
        )  # fmt: skip
        if learned != store.read(LearnedQuestion):
            store.save(learned)
        self._all.refused.withdraw(self._project, snapshot.label_config)
        state, now = store.load(), time.time()
        dataset = join(snapshot, heard_as(state.sources, settings.channel), now)
        answered_at = label_studio.answered_at  # annotations carry moments of Label Studio's clock
        theirs = now if answered_at is None else answered_at.timestamp()
        awaited = awaited_clips(dataset.entries, settings, snapshot.overlap, theirs)
        dataset = replace(dataset, awaited=awaited, lacking=method_lacks(snapshot, state, settings))
        connection = self._connection
        refused = protect_webhook(label_studio, snapshot, store, connection.url)
        tabs = read_tabs(label_studio, self._project)
        look = look_at(store, snapshot, dataset, state, settings, connection, refused_secret=refused, tabs=tabs)
        state = keep_house(store, state, snapshot, dataset, settings, now, examine(look))
        save_figures(store)
        return snapshot, dataset, state

    def _do(self, step: Step, snapshot: Snapshot, dataset: Dataset, state: State, services: Services) -> None:
        store, settings = self._store, self._settings
        label_studio, fetcher, decoders = services
        match step:
            case Ingest(tasks=tasks):
                from aftertone.pipeline.ingest import ingest

                ingest(tasks, state.sources, store, fetcher, decoders, settings, self._report_step)
            case Adapt():
                self._learning(state, dataset).adapt()
            case Seed():
                self._learning(state, dataset).seed()
            case Train():
                self._learning(state, dataset).train()
            case Rank():
                self._learning(state, dataset).rank()
            case Extend():
                self._extend(snapshot, dataset, state)
            case Publish(number=number):
                queue = state.queue
                assert queue is not None  # there is a round
                shown = store.answers(number) if settings.prelabel else {}
                seconds = {task: entry.clip.seconds for entry in dataset.entries.values() for task in entry.tasks}
                publish(label_studio, snapshot, queue.version, queue.published, shown, store.guard, seconds)
                store.set_current(number)
                self._show_doubts(label_studio, snapshot, store.round(number))
                log.info(
                    "Project %d: annotators are served round %d", self._project, number,
                    extra={"action": "round_published", "project": self._project, "round": number},
                )  # fmt: skip

    def _show_doubts(self, label_studio: LabelStudio, snapshot: Snapshot, record: Round) -> None:
        """Keep the tab of what is worth another look up to date; the queue doesn't depend on it."""
        try:
            with self._store.guard():
                pass
            tasks = [doubt.task for doubt in record.relabel if doubt.task in snapshot.tasks]
            publish_tab(label_studio, self._project, tasks)
        except LabelStudioError as error:
            log.warning("Project %d: the relabel list isn't shown: %s", self._project, error, extra=self._extra("tab"))

    def _extend(self, snapshot: Snapshot, dataset: Dataset, state: State) -> None:
        last, queue = state.last, state.queue
        assert last is not None
        assert queue is not None
        scores = self._store.scores(last.number)[1]
        asked = asked_tasks(dataset, state.test_clips, state.asked)
        order = extended(self._settings, dataset, snapshot, scores, queue.published, last.batch, asked)
        part = queue.part + 1 if isinstance(queue, Extension) else 1
        self._store.save(Extension(round=last.version, part=part, published=order))

    def _learning(self, state: State, dataset: Dataset) -> "LearningSteps":
        from aftertone.pipeline.steps import LearningSteps

        hide_library_bars()
        return LearningSteps(self._store, state, dataset, self._settings, self._report_step)

    def _go_on(self, stage: str, done: int, total: int) -> None:
        """Save how far a step is, unless somebody wants it to end."""
        if self._store.stopped:
            raise StepStoppedError(f"Somebody ended the step to {self._doing}; nothing is left half done.")
        self._save_progress(stage, done, total)

    def _save_progress(self, stage: str, done: int, total: int) -> None:
        now, before = time.time(), self._reported
        if before is None or (before.stage, before.total) != (stage, total) or done < before.done:
            began, first = now, done
        else:
            began, first = before.began, before.first
        self._reported = Doing(stage=stage, done=done, total=total, at=now, began=began, first=first)
        self._store.save(self._reported)

    def _notify(self) -> None:
        if self._notifier is not None:
            self._notifier.tell()

    def _remember(self, message: str) -> None:
        try:
            self._store.record_problem(self._doing, message, time.time())
        except OSError as error:  # a full disk has no room for its own problem
            log.warning("The problem can't be recorded: %s", error, extra=self._extra("problem_not_recorded"))

    def _extra(self, action: str) -> dict[str, object]:
        return {"action": action, "project": self._project, "step": self._doing}
