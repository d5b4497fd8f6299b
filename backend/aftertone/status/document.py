"""The status document: everything that commands, pages and programs say about projects, as typed records.

`docs/schemas/status.json` is printed from these: `python -m aftertone.status.schema > docs/schemas/status.json`.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from aftertone.store.records import Finding
from aftertone.store.rounds import Doubt
from aftertone.store.unconfirmed import PENDING
from aftertone_model.evaluation.bootstrap import Basis


class Part(BaseModel):
    """What the document is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null", populate_by_name=True)


class Interval(Part):
    """A figure with its 95 % interval."""

    value: float
    low: float | None = Field(description="Lower end; null where there are too few clips for an interval.")
    high: float | None = Field(description="Upper end; null likewise.")

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both ends; None also for an interval without width, as earlier versions gave for a few clips."""
        if self.low is None or self.high is None or self.low == self.high:
            return None
        return self.low, self.high


class Activity(Part):
    """What the worker reported last, and how far it was."""

    stage: str
    done: int
    total: int = Field(description="0 where there is nothing to count.")
    at: float = Field(description="Moment of the report, in epoch seconds.")
    rate: float | None = Field(description="Parts of the stage done per second; null where nobody can tell.")
    left: float | None = Field(description="Seconds that the rest takes at that rate; null where nobody can tell.")


class Failure(Part):
    """Why a project doesn't move on."""

    step: str
    message: str
    times: int = Field(description="Failures in a row.")
    at: float


class Question(Part):
    """What is learned of the label config."""

    name: str
    tag: str
    kind: str
    classes: tuple[str, ...] = Field(description="Classes, or the dimensions that are rated.")
    of_regions: bool = Field(description="Whether it is asked about regions of the audio.")
    notes: tuple[str, ...]


class Counts(Part):
    """Clips of the pool, each in one of the first five; and tasks without any."""

    labelled: int = Field(description="Clips that have an answer and may be trained on.")
    tested: int = Field(description="Clips of the test split that have an answer.")
    untested: int = Field(description="Clips of the test split without one.")
    skipped: int = Field(description="Clips that were skipped or submitted blank, outside the test split.")
    unlabelled: int = Field(description="The other clips.")
    unusable: int = Field(description="Tasks whose audio can't be used.")
    unfetched: int = Field(description="Tasks whose audio nobody has tried to fetch yet.")


class Untouched(Part):
    """Annotations that no person changed: see `aftertone.doctor.untouched`."""

    annotations: int
    made: int
    tasks: int


class Annotator(Part):
    """One person's figures: see `aftertone.pipeline.annotators`."""

    annotator: str
    labels: int
    skipped: float | None
    seconds: float | None
    agreement: float | None
    compared: int
    gold: int
    right: int
    tired: tuple[str, ...]


class Annotators(Part):
    """All of a project's, most labels first."""

    each: tuple[Annotator, ...]
    krippendorff_alpha: float | None


class Unusable(Part):
    """A task without usable audio."""

    task: int
    reason: str


class ClassMetrics(Part):
    """How well a round's model tells classes on the test set: see `aftertone_model.evaluation.metrics`."""

    classes: tuple[str, ...]
    clips: int
    ua: Interval
    wa: Interval
    macro_f1: Interval
    recall: tuple[float | None, ...]
    confusion: tuple[tuple[int, ...], ...]
    ece: float
    basis: Basis
    speakers: int | None
    scope: str
    summary: str


class RatingFigures(Part):
    """How well a round's model rates: see `aftertone_model.evaluation.rating_metrics`."""

    dimensions: tuple[str, ...]
    clips: int
    rated: tuple[int, ...]
    ccc: Interval
    each_ccc: tuple[Interval | None, ...]
    mae: tuple[Interval | None, ...]
    basis: Basis
    speakers: int | None
    scope: str
    summary: str


Measured = ClassMetrics | RatingFigures


class RandomShareStatus(Part):
    """How well rounds judged clips that chance drew for their batches: see `aftertone.pipeline.random_share`."""

    metrics: Measured
    labels: float = Field(description="Mean number of labels that these rounds knew.")
    rounds: tuple[int, ...] = Field(description="Their numbers.")


class RoundStatus(Part):
    """One round."""

    number: int
    version: str
    kind: Literal["seed", "trained"]
    created_at: str
    strategy: str
    labels: int
    rolled_back: bool
    has_model: bool = Field(description="Whether its weights are kept, so that one can go back to it.")
    metrics: Measured | None
    plain_metrics: Measured | None
    random_share: RandomShareStatus | None = Field(None, description="Of rounds before; null without enough clips.")
    advice: str
    seconds: dict[str, float]
    memory: int = Field(description="Most bytes of main memory that making it took; 0 where nobody measured it.")

    @property
    def took(self) -> float | None:
        """Seconds that making it took; None where nobody knows."""
        return sum(self.seconds.values()) if self.seconds else None


class ClassStatus(Part):
    """One class, as of the newest round that counts; of ratings there are none."""

    name: str
    found: float = Field(description="Clips that annotators gave this class, votes in parts.")
    tested: int | None = Field(description="Test clips of this class; null without a measured round.")
    recall: float | None = Field(description="Share of these that the model finds.")
    share: Interval | None = Field(description="Estimated share of the pool; null without a test label.")


class NextClip(Part):
    """A clip that annotators are asked for next."""

    task: int
    clip: str
    seconds: float
    prediction: str = Field(description="The model's answer; '' before there is a model.")
    confidence: float | None
    why: str = Field(description="Why it is asked for, for people.")


class Option(Part):
    """An option that a project has of its own."""

    value: Any
    where: str = Field(alias="from")
    instead_of: Any = None


class Attribute(Part):
    """Something that tasks say of their clips, such as a speaker's gender."""

    clips: int = Field(description="That have it.")
    values: dict[str, int] = Field(description="Clips by value; empty where there are many.")


class Disk(Part):
    """Bytes that the project's files take, as last counted."""

    pool: int
    features: int
    rounds: int
    adapted: int
    other: int
    at: float


class ExportStatus(Part):
    """An archive that the page's button makes: see `aftertone.store.exports`."""

    state: Literal["being made", "ready", "failed"]
    round: int
    version: str = Field(description="Of the round.")
    at: float = Field(description="When it was begun, or ended, in epoch seconds.")
    file: str = Field(description="Its name below /projects/{project}/exports; '' until it is ready.")
    bytes: int
    error: str = Field(description="Why there is none; '' otherwise.")


class ProjectStatus(Part):
    """One project."""

    project: int
    problems: tuple[str, ...] = Field(description="What doesn't go on without a person, a sentence each.")
    refused: str = Field(description="Why it couldn't be used when it was last set up; '' where it could.")
    problem: Failure | None
    paused: float | None = Field(description="Since when, in epoch seconds; null while it goes on.")
    doing: Activity | None
    question: Question | None
    clips: int = Field(description="Clips in the pool.")
    counts: Counts
    tasks: int
    answered: int
    in_progress: int = Field(description="Clips that wait for further votes.")
    untouched: Untouched
    attributes: dict[str, Attribute]
    annotators: Annotators
    serving: int | None = Field(description="Number of the round that annotators are served.")
    rounds: tuple[RoundStatus, ...]
    classes: tuple[ClassStatus, ...]
    histogram: tuple[int, ...] = Field(
        description="Unlabelled clips by the probability of their most likely class, in bins of equal width; empty "
        "without a model, and for ratings."
    )
    advice: str
    forecast: str = Field(description="What the next round costs and may bring.")
    next_clips: tuple[NextClip, ...]
    relabel: tuple[Doubt, ...]
    unusable: tuple[Unusable, ...]
    options: dict[str, Option]
    exports: dict[str, ExportStatus] = Field({}, description="The latest of each format.")
    disk: Disk | None
    damaged: tuple[str, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]

    @property
    def standing(self) -> tuple[RoundStatus, ...]:
        """Rounds that aren't rolled back, oldest first."""
        return tuple(record for record in self.rounds if not record.rolled_back)


class Status(Part):
    """All projects of one MODEL_DIR."""

    schema_version: Literal[1] = 1
    at: float = Field(description="When this was read, in epoch seconds.")
    free: int = Field(description="Bytes that are free where MODEL_DIR lies.")
    problem: str | None = Field(description="Why nothing can be written there; null where it can.")
    workers: int = Field(description="Workers that run.")
    servers: tuple[str, ...] = Field(description="Addresses where Label Studio finds nobody, a sentence each.")
    projects: tuple[ProjectStatus, ...]
    unconfirmed: dict[int, str] = Field(description="Projects that wait to be connected, and why.")
    refused: dict[int, str] = Field(description="Further projects that can't be used, and why.")

    @property
    def needs_somebody(self) -> bool:
        """Whether something doesn't go on without a person."""
        waits = any(project.problems for project in self.projects)
        waits = waits or bool(self.servers)
        return waits or bool(self.refused) or bool(self.problem) or self.stuck_connections

    @property
    def stuck_connections(self) -> bool:
        """Whether a project can't be confirmed for a reason that a person must mend."""
        return any(said != PENDING for said in self.unconfirmed.values())
