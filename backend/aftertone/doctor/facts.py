"""What the checks look at, gathered by whoever asks: the worker at every look, or `aftertone doctor`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aftertone.doctor.servers import Silent
from aftertone.labelstudio.tasks import Model, Snapshot, Tab, Webhook
from aftertone.settings import Settings
from aftertone.store.records import Problem
from aftertone.store.state import State


@dataclass(frozen=True, kw_only=True)
class Look:
    """A project that could be read, at one moment."""

    settings: Settings  # with the project's options
    snapshot: Snapshot
    state: State
    url: str = ""  # of this backend, as Label Studio reaches it; '' while unknown
    options: Mapping[str, object] = field(default_factory=dict)  # extra params of the connection
    models: tuple[Model, ...] | None = None  # connected to the project; None where they weren't asked for
    others: int = 0  # further models, as they were when the connection was last read
    tabs: tuple[Tab, ...] = ()  # of the Data Manager
    refused_secret: str = ""  # why the webhook's secret couldn't be set
    clips: int = 0  # usable ones
    lacking: str = ""  # what the method lacks of the project, and how to get it
    failed: Mapping[int, str] = field(default_factory=dict)  # task -> why its audio can't be used
    several: int = 0  # audio files with several channels
    differing: int = 0  # of these, whose channels say different things
    unknown_labels: Mapping[str, int] = field(default_factory=dict)  # not in the label config -> clips
    short_regions: int = 0  # marked, and too short to learn from
    speakers: Mapping[str, Mapping[int, int]] = field(default_factory=dict)  # speaker -> class -> labelled clips
    queue_left: int = 0  # published clips without an answer
    queue_behind: int = 0  # further clips without an answer
    free: int | None = None  # bytes where MODEL_DIR lies
    needed: int = 0  # bytes that the steps to come may take
    old_split: bool = False  # whether the test split lies there under its older name too

    @property
    def ours(self) -> list[Webhook]:
        """The project's webhooks that tell this backend; where its address is unknown, all that may."""
        hooks = self.snapshot.webhooks
        if not self.url:
            return [hook for hook in hooks if hook.url.rstrip("/").endswith("/webhook")]
        return [hook for hook in hooks if hook.url == webhook_address(self.url)]

    @property
    def published(self) -> bool:
        """Whether the newest round was put in front of the annotators."""
        last = self.state.last
        return last is not None and self.state.current == last.number and bool(self._on_queue)

    @property
    def _on_queue(self) -> int:
        queue = self.state.queue
        return 0 if queue is None else sum(task in self.snapshot.tasks for task in queue.published)

    @property
    def missing_predictions(self) -> int:
        """Predictions of the served version that Label Studio lacks; negative for too many."""
        queue = self.state.queue
        return 0 if queue is None else self._on_queue - self.snapshot.predictions.get(queue.version, 0)


def webhook_address(url: str) -> str:
    """Where a backend at `url` is told about changes."""
    return f"{url.rstrip('/')}/webhook"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A project, whether or not it could be read."""

    failure: Exception | None = None  # why it couldn't be
    problem: Problem | None = None  # the step that failed last
    connected: bool = True  # whether Label Studio names a model of the project


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What all projects depend on."""

    settings: Settings
    environment: Mapping[str, str] = field(default_factory=dict)
    now: float = 0.0  # epoch seconds
    unwritable: str | None = None  # why nothing can be written into MODEL_DIR
    free: int | None = None  # bytes where MODEL_DIR lies
    redis: str = ""  # why it can't be used
    workers: int | None = None  # that are alive; None where nobody can know
    silent: tuple[Silent, ...] = ()  # addresses of this backend, as Label Studio has them, that don't answer
    server_runs: bool = False  # whether one of this MODEL_DIR gives signs of life
    differing: Mapping[str, str] = field(default_factory=dict)  # process -> settings that aren't as here
    label_studio: Exception | None = None  # why it can't be asked
    token_expires: float | None = None  # epoch seconds; None where the token doesn't say
