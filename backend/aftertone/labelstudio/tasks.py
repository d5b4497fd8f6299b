"""A project as plain records, free of the SDK: its tasks, what people have answered, how its queue is ordered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aftertone_model.votes.regions import Region

if TYPE_CHECKING:
    from aftertone.labelstudio.label_config import Question  # brings the SDK, which takes a second to import

UNCERTAINTY = "Uncertainty sampling"  # the project setting that serves tasks by ascending prediction score
SECRET_HEADER = "X-Aftertone-Secret"  # of webhooks
NO_ADDRESS = (
    "The task has no audio address: its audio field is missing, empty or holds no text. Correct the task's data, or "
    "name the right field in AUDIO_FIELD."
)
VERSION_PREFIX = "aftertone-"  # of the model_version of every ranking that this backend publishes


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a task's annotations add up to."""

    votes: Mapping[str, float] = field(default_factory=dict)  # class, or dimension=rating -> sum of `LabelSchema.vote`
    voters: int = 0  # annotators who chose something that the label config offers
    by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # annotator -> classes chosen, or dimension=rating
    regions: Mapping[str, tuple[Region, ...]] = field(default_factory=dict)
    """Annotator -> what was marked and answered, of a question about parts of the audio. `by` then has all words."""
    final: bool = False  # starred as ground truth: nobody's reliability changes it
    skipped: bool = False  # skipped or submitted blank, and nobody answered: no label, and no reason to ask first
    untouched: int = 0  # annotations that leave a prediction as it was shown, or were made of one

    @property
    def given(self) -> bool:
        """Whether anybody answered the question, with whatever label."""
        return bool(self.votes)


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What one annotator did about a task, once."""

    annotator: str
    at: str  # ISO 8601, Label Studio's clock: when it was submitted
    changed: str  # the same of its last edit
    seconds: float | None = None  # that the form was open, as Label Studio says
    chosen: tuple[str, ...] = ()  # () where it was skipped, blank or untouched
    regions: tuple[Region, ...] = ()  # what was marked, of a question about parts of the audio
    skipped: bool = False
    starred: bool = False  # as ground truth


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One task: where its audio lies and what people have answered."""

    id: int
    source: str  # address of the audio as the task holds it; may carry a signature, so it never reaches a log
    speaker: str | None = None
    recording: str | None = None  # that the audio was cut from, where a field of the task says so
    updated_at: str = ""  # ISO 8601, Label Studio's clock
    annotations: int = 0  # submitted annotations, skips not counted
    answer: Answer = field(default_factory=Answer)
    work: tuple[Work, ...] = ()  # in order of submission
    made: tuple[int, ...] = ()  # ids of annotations that "Create annotations from predictions" made
    attributes: Mapping[str, str] = field(default_factory=dict)  # what else is known of the clip: gender, ...


@dataclass(frozen=True, kw_only=True)
class TaskCache:
    """The tasks as last read, so that the next read asks only for what changed."""

    shape: tuple[str, ...] = ()  # question, its kind, the fields and the way of counting that the tasks were read with
    total: int | None = None  # annotations that Label Studio counted
    read_to: str = ""  # moment (ISO 8601, Label Studio's clock) up to which every change was read; '': unknown
    tasks: tuple[Task, ...] = ()  # ascending ids


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """An address that Label Studio tells about changes in a project."""

    id: int
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # sent along; may hold passwords
    active: bool = True
    payload: bool = True  # whether it says which project it is about
    actions: tuple[str, ...] | None = None  # that are told; None: all


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model that is connected to a project."""

    url: str = field(repr=False)  # may hold a password
    extra_params: Any = None  # as its user gave them
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Tab:
    """A tab of a project's Data Manager."""

    title: str
    ordered: bool  # it has an order of its own
    filtered: bool


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A project at one moment."""

    project: int
    title: str
    question: "Question"
    label_config: str = ""  # that it stands in, XML
    tasks: Mapping[int, Task]
    sampling: str  # project setting: how "Label All Tasks" orders the queue
    model_version: str  # project setting: whose predictions order it; '' when unset
    predictions: Mapping[str, int]  # version -> how many predictions are stored under it
    overlap: int  # project setting: annotations that each task asks for
    webhooks: tuple[Webhook, ...]  # also those that are switched off
    trains_every: int = 0  # project setting: after so many submitted annotations a training is asked for; 0: never
    evaluates: bool = False  # project setting: pages of tasks ask for predictions of all that they list
    shows_predictions: bool = True  # project setting: to annotators
    skip_queue: str = ""  # project setting: what becomes of skipped tasks

    def serves(self, version: str) -> bool:
        """Whether annotators are served the ranking that was published under this version."""
        return self.model_version == version and self.sampling == UNCERTAINTY
