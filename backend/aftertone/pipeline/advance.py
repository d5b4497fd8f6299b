"""`advance`, the one background job: look at Label Studio and at the store, do the next step, until there is none.

It is told nothing but the project's number. So a lost webhook, a killed worker, a restart, a deleted annotation or two
webhooks at once need no code of their own.
"""

import logging
import time
from contextlib import closing

from aftertone.errors import TasksVanishedError
from aftertone.labelstudio.client import LabelStudio
from aftertone.labelstudio.download import Fetcher
from aftertone.labelstudio.publish import publish
from aftertone.labelstudio.snapshot import Snapshot, read_snapshot
from aftertone.pipeline import jobs
from aftertone.pipeline.dataset import Dataset, join
from aftertone.pipeline.ingest import sync
from aftertone.pipeline.plan import Adapt, Memory, Publish, Rank, Seed, Step, Sync, Train, Wait, next_step
from aftertone.pipeline.steps import LearningSteps
from aftertone.pipeline.warnings import notes
from aftertone.pipeline.worker import end_with_parent
from aftertone.server.predict import guesses
from aftertone.settings import Settings, load_settings
from aftertone.store.project import Store
from aftertone_model.acquisition import find_strategy
from aftertone_model.errors import AftertoneError
from aftertone_model.evaluation.test_split import assign_test_split
from aftertone_model.pretraining.record import read_adaptation

log = logging.getLogger(__name__)

BUSY_SECONDS = 2.0  # before a project that another worker has is looked at again
PROGRESS_SECONDS = 0.5  # between two writes of progress.json
READING = "read the project"
NAMES = {
    Sync: "fetch audio", Adapt: "adapt the backbone", Seed: "find the seed set", Train: "train", Rank: "rank the pool",
    Publish: "publish the queue",
}  # fmt: skip


def advance(project: int) -> None:
    """Do everything that can be done for a project now. Runs as a job, alone for its project."""
    end_with_parent()
    jobs.wake_taken(project)
    settings = load_settings()
    with jobs.only_advance(project) as alone:
        if alone:
            jobs.wake(project, after=settings.reconcile_seconds)
            Advance(project, settings).run()
        else:
            jobs.wake(project, after=BUSY_SECONDS)


class Advance:
    """One run of the job."""

    def __init__(self, project: int, settings: Settings) -> None:
        self._project = project
        self._settings = settings
        self._store = Store(settings.model_dir).project(project)
        self._doing = READING
        self._reported = ("", 0.0)  # stage, and when it was last written

    def run(self) -> None:
        """Step until there is nothing to do; a failure is remembered for `aftertone status` and tried again later."""
        try:
            connection = self._store.connection()
            self._settings = self._settings.for_project(connection.extra_params if connection else {})
            if self._settings.strategy:
                find_strategy(self._settings.strategy)  # a wrong name should not wait for the first labels
            settings, key = self._settings, self._settings.label_studio_api_key.get_secret_value()
            label_studio = LabelStudio(settings.label_studio_url, key, timeout=settings.label_studio_timeout)
            fetcher = Fetcher(
                label_studio,
                hosts=settings.audio_hosts,
                timeout=settings.audio_timeout,
                max_bytes=int(settings.max_audio_megabytes * 1_000_000),
            )
            with closing(label_studio), closing(fetcher):
                self._steps(label_studio, fetcher)
        except AftertoneError as error:
            self._remember(str(error))
            log.warning("Project %d: can't %s: %s", self._project, self._doing, error, extra=self._extra("step_failed"))
        except Exception as error:
            self._remember(
                f"{type(error).__name__}: {error}. This is a bug in Aftertone; the worker's log has the details."
            )
            log.exception("Project %d: can't %s", self._project, self._doing, extra=self._extra("step_failed"))

    def _steps(self, label_studio: LabelStudio, fetcher: Fetcher) -> None:
        previous: Step | None = None
        while True:
            self._doing = READING
            snapshot, dataset, memory = self._look(label_studio)
            step = next_step(snapshot, dataset, memory, self._settings, time.time())
            problem = self._store.problem()
            if problem is not None and problem.step == READING:
                self._store.clear_problem()
            if isinstance(step, Wait):
                self._report(step.why, 0, 0)
                if step.seconds is not None:
                    jobs.wake(self._project, after=step.seconds)
                return
            self._doing = NAMES[type(step)]
            if problem is not None and problem.step == self._doing and time.time() < problem.retry_at:
                jobs.wake(self._project, after=problem.retry_at - time.time())
                return
            if step == previous:
                raise AftertoneError(
                    "The step went well but changed nothing. Somebody or something undoes it in Label Studio; check "
                    "the project's settings and that no second backend serves it."
                )
            log.info("Project %d: %s", self._project, self._doing, extra=self._extra("step_begun"))
            began = time.monotonic()
            try:
                self._do(step, snapshot, dataset, label_studio, fetcher)
                previous = step
            except TasksVanishedError:
                previous = None  # the next look shows which
            self._store.clear_problem()
            log.info(
                "Project %d: %s: done in %.1f s", self._project, self._doing, time.monotonic() - began,
                extra=self._extra("step_done"),
            )  # fmt: skip

    def _look(self, label_studio: LabelStudio) -> tuple[Snapshot, Dataset, Memory]:
        store, settings = self._store, self._settings
        snapshot = read_snapshot(label_studio, self._project, settings, store.tasks_file)
        now = time.time()
        dataset = join(snapshot, store.sources(), now)
        adaptation = read_adaptation(store.adapted)
        store.save_notes(notes(snapshot, dataset, adaptation, settings.adapt_again_share))
        last = store.last_round()
        quiet_since = store.quiet_since(len(snapshot.tasks), max(snapshot.tasks, default=0), now)
        exam = store.exam()
        settled = last is not None or now - quiet_since >= settings.settle_seconds
        if settled and not dataset.missing and any(clip.id not in exam for clip in dataset.clips):
            exam = assign_test_split(dataset.clips, exam, share=settings.test_share, seed=settings.seed)
            store.save_exam(exam)
        memory = Memory(
            quiet_since=quiet_since,
            adapted=adaptation is not None,
            exam=frozenset(clip for clip, in_exam in exam.items() if in_exam),
            last=last,
            current=store.current,
            trained=store.next.is_dir(),
            train_requested=store.train_requested,
        )
        return snapshot, dataset, memory

    def _do(
        self, step: Step, snapshot: Snapshot, dataset: Dataset, label_studio: LabelStudio, fetcher: Fetcher
    ) -> None:
        store, settings = self._store, self._settings
        match step:
            case Sync(tasks=tasks):
                sync(tasks, store, fetcher, settings, self._report)
            case Adapt():
                LearningSteps(store, dataset, settings, self._report).adapt()
            case Seed():
                LearningSteps(store, dataset, settings, self._report).seed()
            case Train():
                LearningSteps(store, dataset, settings, self._report).train()
            case Rank():
                LearningSteps(store, dataset, settings, self._report).rank()
            case Publish(number=number):
                shown = guesses(store, number) if settings.prelabel else {}
                publish(store.round(number), snapshot, label_studio, shown)
                store.set_current(number)

    def _report(self, stage: str, done: int, total: int) -> None:
        before, at = self._reported
        if stage != before or done == total or time.monotonic() - at > PROGRESS_SECONDS:
            self._store.save_progress(stage, done, total)
            self._reported = (stage, time.monotonic())

    def _remember(self, message: str) -> None:
        self._store.record_problem(self._doing, message, time.time())

    def _extra(self, action: str) -> dict[str, object]:
        return {"action": action, "project": self._project, "step": self._doing}
