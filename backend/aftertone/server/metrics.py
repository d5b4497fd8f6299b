"""/metrics: what Prometheus collects, read from the store and the queue when it asks."""

import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from redis import RedisError

from aftertone import __version__
from aftertone.errors import StoreError
from aftertone.pipeline.figures import TaskFigures, task_figures
from aftertone.pipeline.jobs import JobQueue
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Doing, Problem, Warnings

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 100.0)  # seconds; Label Studio gives up
# on a webhook after 1, on /setup after 3, on /predict after 100
OTHER = "other"  # paths that are no route: whoever asks must not be able to make up new series
METHODS = ("GET", "POST", "HEAD")
NUMBER = re.compile(r"^/projects/\d+/")

Message = MutableMapping[str, Any]
Family = tuple[str, str, tuple[str, ...]]
"""Name of a metric, what it is, its labels; docs/metrics.md lists them."""
Value = tuple[str, tuple[str, ...], float]
"""Name of a metric, its labels' values without the project's, its value."""


class Metrics:
    """The registry of one server."""

    def __init__(self, store: Store, jobs: JobQueue) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(*REQUESTS, buckets=BUCKETS, registry=self._registry)
        self._registry.register(_Projects(store, jobs))

    def page(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, method if method in METHODS else OTHER, str(status)).observe(seconds)


class Timed:
    """An ASGI application whose requests are timed."""

    def __init__(self, app: Any, metrics: Metrics, routes: set[str]) -> None:
        """
        Args:
            routes: paths that may be a label, as they are declared.
        """
        self._app, self._metrics, self._routes = app, metrics, routes

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Pass a request on and time it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            path = NUMBER.sub("/projects/{project}/", scope["path"])
            route = path if path in self._routes else OTHER
            self._metrics.answered(route, scope["method"], status, time.perf_counter() - began)


class _Projects(Collector):
    """What the store and the queue say at the moment of asking."""

    def __init__(self, store: Store, jobs: JobQueue) -> None:
        self._store, self._jobs = store, jobs

    def describe(self) -> list[Metric]:
        """Nothing in advance: registering it asks no disk."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Each metric, with all its projects."""
        families = {
            name: GaugeMetricFamily(name, text, labels=labels) for name, text, labels in OF_SERVER + OF_PROJECTS
        }
        projects = self._store.projects()
        for name, labels, value in self._server(len(projects)):
            families[name].add_metric(labels, value)
        for number in projects:
            for name, labels, value in self._project(self._store.project(number)):
                families[name].add_metric((str(number), *labels), value)
        of_projects = {name for name, _, _ in OF_PROJECTS}
        yield from (one for name, one in families.items() if one.samples or name in of_projects)

    def _server(self, projects: int) -> Iterator[Value]:
        yield "aftertone_info", (__version__,), 1
        yield "aftertone_workers", (), sum(one.kind == "worker" for one in self._store.running.alive())
        try:
            waiting, up = self._jobs.depth(), 1
        except RedisError:
            waiting, up = None, 0
        yield "aftertone_redis_up", (), up
        if waiting is not None:
            yield "aftertone_queue_depth", (), waiting
        yield "aftertone_projects", (), projects

    def _project(self, store: ProjectStore) -> Iterator[Value]:
        try:
            yield from self._readable(store)
        except (StoreError, OSError):  # damaged: `aftertone status` says which file
            yield "aftertone_unreadable", (), 1

    def _readable(self, store: ProjectStore) -> Iterator[Value]:
        rounds = store.standing_numbers()
        clips = _clips(task_figures(store))
        for state, count in clips.items():
            yield "aftertone_clips", (state,), count
        yield "aftertone_labels", (), clips["train"] + clips["test"]
        yield "aftertone_rounds", (), len(rounds)
        if store.current is not None:
            yield "aftertone_served_round", (), store.current
        if rounds:
            yield "aftertone_round_labels", (), store.round(rounds[-1]).labels
        problem, doing = store.read(Problem), store.read(Doing)
        yield "aftertone_failures", (problem.step if problem else "none",), problem.times if problem else 0
        if doing is not None:
            step = (doing.stage.partition(":")[0],)
            waits = doing.total == 0 and doing.stage.startswith("waiting")
            yield "aftertone_step_in_progress", step, 0 if waits else 1
            yield "aftertone_step_seconds", step, max(doing.at - doing.began, 0) if doing.began else 0
            yield "aftertone_step_done_ratio", step, doing.done / doing.total if doing.total else 0
        found = Counter(finding.severity for finding in store.get(Warnings).findings)
        for severity in ("problem", "warning", "note"):
            yield "aftertone_findings", (severity,), found[severity]


def _clips(figures: TaskFigures) -> dict[str, int]:
    """Clips by state, or tasks where there is none."""
    return {
        "train": figures.labelled,
        "test": figures.tested,
        "unlabelled": figures.clips - figures.labelled - figures.tested - figures.skipped,
        "skipped": figures.skipped,
        "unusable": len(figures.unusable),
        "unfetched": figures.unfetched,
    }


OF_SERVER: tuple[Family, ...] = (
    ("aftertone_info", "1, for the version that runs.", ("version",)),
    ("aftertone_workers", "Workers that run.", ()),
    ("aftertone_redis_up", "Whether Redis answers.", ()),
    ("aftertone_queue_depth", "Projects that wait for a worker; absent while Redis is away.", ()),
    ("aftertone_projects", "Projects that have connected.", ()),
)
OF_PROJECTS: tuple[Family, ...] = (
    (
        "aftertone_clips",
        "Clips by state, a skipped test clip as unlabelled; unusable and unfetched ones are tasks.",
        ("project", "state"),
    ),
    ("aftertone_labels", "Clips that have a label.", ("project",)),
    ("aftertone_rounds", "Complete rounds, without those that are rolled back.", ("project",)),
    ("aftertone_served_round", "Number of the round that annotators are served.", ("project",)),
    ("aftertone_round_labels", "Labels that the newest round knew.", ("project",)),
    ("aftertone_step_in_progress", "1 while a step is under way, 0 while the project waits.", ("project", "step")),
    ("aftertone_step_seconds", "Seconds from the step's first report to its last.", ("project", "step")),
    ("aftertone_step_done_ratio", "Share of the step that is done, where it can be counted.", ("project", "step")),
    ("aftertone_failures", "Failures in a row of the step that fails.", ("project", "step")),
    ("aftertone_findings", "What the last look found, by severity.", ("project", "severity")),
    ("aftertone_unreadable", "1 where files of the project are damaged.", ("project",)),
)
REQUESTS: Family = (
    "aftertone_request_seconds", "Histogram of the time to answer a request.", ("route", "method", "status")
)  # fmt: skip
