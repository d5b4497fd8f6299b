"""The record of a round: what it learned from, what it found, whom it asks next."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, computed_field, model_validator

from aftertone.labelstudio.tasks import VERSION_PREFIX
from aftertone.store.clock import Durations
from aftertone.store.records import Part, Record
from aftertone_model.data.clips import file_of
from aftertone_model.evaluation.metrics import Metrics
from aftertone_model.evaluation.rating_metrics import RatingMetrics
from aftertone_model.labels import SCHEMAS, LabelSchema, Scale, SingleChoice, schema_of

GUESS_PREFIX = "guess-"
HIDDEN_PREFIX = "hidden-"

SoftLabels = dict[str, tuple[float, ...]]  # clip -> `LabelSchema.target`


class TrainingRecord(Part):
    """How a round's training went."""

    tuning: str  # which weights were trained
    warm: bool  # it went on from the previous round's classifier
    updates: int  # optimiser steps of the last attempt
    skipped: int = 0  # of these, those whose gradient was not a number
    retries: int  # attempts that collapsed to one class before
    collapsed: bool  # so did the last one
    train_accuracy: float  # share of the training clips that are right; of ratings, the mean CCC; at most 1
    losses: tuple[float, ...]  # mean training loss of each epoch
    per_class: tuple[float, ...]  # (C,) training labels of each class, soft votes in parts, or of each dimension
    temperature: float  # that the logits were divided by
    backbone: str = ""  # name of the speech model that it started from; '' where an earlier version wrote none


class Draft(Record):
    """A model that waits in `next/` until it has ranked the pool."""

    FILE = "draft.json"
    AFTER_DAMAGE = "The round is trained again."

    question: str = ""  # name of the tag in the label config that was learned; '' where an earlier version wrote it
    classes: tuple[str, ...]  # or the dimensions that are rated
    scales: tuple[Scale, ...] = ()  # of the dimensions
    method: str = "after"  # that it was trained by, see `aftertone_model.methods`; an earlier version knew no other
    label_kind: Annotated[str, Field(pattern="|".join(SCHEMAS))] = SingleChoice.kind
    labelled: SoftLabels = Field(default_factory=dict)  # clips that it was trained on
    tested: SoftLabels = Field(default_factory=dict)  # labelled clips of the held-out test set
    metrics: Metrics | RatingMetrics | None = None  # on the held-out test set; None without test labels
    plain_metrics: Metrics | RatingMetrics | None = None
    """The same of the transformers classifier alone, which is what `pipeline` loads of an export. None where the round
    has no clip head, or where an earlier version wrote it."""
    training: TrainingRecord | None = None  # None for a seed set
    seconds: Durations = Field(default_factory=dict)  # wall clock of each part
    memory: int = 0  # most bytes of main memory that its job has taken; 0 where an earlier version wrote none

    @property
    def label_schema(self) -> LabelSchema:
        """What kind of answer was asked for."""
        return schema_of(self.label_kind, self.classes, self.scales)

    def learned(self, question: str, schema: LabelSchema) -> bool:
        """Whether it learned a question of that name and kind. Any name will do where either has none."""
        return self.label_schema == schema and (not self.question or not question or self.question == question)

    @classmethod
    def upgrade(cls, raw: Any) -> Any:
        rest = {key: value for key, value in raw.items() if key not in ("examined", "exam")}
        if rest["training"]:
            rest["training"] = {("tuning" if key == "depth" else key): value for key, value in rest["training"].items()}
        return {**rest, "tested": raw["examined"], "metrics": raw["exam"]}


class Doubt(Part):
    """A labelled task that is worth another look."""

    task: int
    clip: str
    score: float  # how sure its label is, in [0, 1]; see `aftertone_model.votes.relabel`
    reason: str  # for people


class RandomShare(Part):
    """How well rounds judged the clips that chance drew for their batches, before people had: `pipeline.random_share`.

    They are drawn of what was unlabelled and what the query strategy didn't choose itself.
    """

    metrics: Metrics | RatingMetrics
    labels: float  # mean number of labels that those rounds knew, weighted by clips
    rounds: tuple[int, ...]  # their numbers


class Round(Draft):
    """One round, as `round.json` holds it; never changed once it is written."""

    FILE = "round.json"
    MADE_AGAIN = False
    AFTER_DAMAGE = (
        "Restore it from a backup, or remove the round's folder: the loop then goes on from the round before, trains "
        "on all labels again and replaces the round."
    )

    number: int  # 0 is the seed set where there is one
    kind: Literal["seed", "trained"]
    created_at: str  # ISO 8601, UTC
    seed: int  # random seed of everything that was drawn
    strategy: str  # query strategy, or how the seed set was found
    batch: int  # k: labels that the next round waits for
    published: tuple[int, ...]  # task ids, highest priority first
    stops: dict[str, int] = Field(default_factory=dict)  # clip of the stop set -> `LabelSchema.decisions`
    test_answers: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Clip of the held-out test set, labelled or not -> the words of the model's answer. Empty where an earlier
    version wrote the round. With these, later rounds are compared with this one on the very same clips."""
    by_chance: SoftLabels = Field(default_factory=dict)
    """Clip that chance drew for this batch, whatever the strategy -> what the model predicts of it. Empty where an
    earlier version wrote the round."""
    random_share: RandomShare | None = None  # of rounds before this one; None where too few clips came together yet
    relabel: tuple[Doubt, ...] = ()  # least sure first; empty where an earlier version wrote the round
    advice: str = ""  # whether labelling more still pays, and why
    enough: bool = False  # the advice is that it doesn't
    gain: tuple[float, float, float] | None = None
    """Change of UA, or of CCC, per 100 labels as the advice found it, with the ends of its 95 % interval. None where
    the test set can't tell, or where an earlier version wrote the round."""

    @model_validator(mode="before")
    @classmethod
    def _without_derived(cls, raw: Any) -> Any:
        return {k: v for k, v in raw.items() if k not in ("version", "labels")} if isinstance(raw, dict) else raw

    @computed_field  # in the file for people who read it
    @property
    def labels(self) -> int:
        """Number of labelled clips that the round knew, test clips included."""
        return len(self.labelled) + len(self.tested)

    @computed_field
    @property
    def version(self) -> str:
        """The model_version that Label Studio shows: the number, and a digest so that no two rounds share a name."""
        identity = repr((self.number, self.created_at, self.published)).encode()
        return f"{VERSION_PREFIX}{self.number:03d}-{hashlib.sha256(identity).hexdigest()[:6]}"

    @property
    def guess_version(self) -> str:
        """The version of answers given to /predict: another name, or they would enter the annotators' queue."""
        return self.version.replace(VERSION_PREFIX, GUESS_PREFIX, 1)

    @property
    def hidden_version(self) -> str:
        """The same where tasks without a label get none, so that Label Studio asks again once they do."""
        return self.version.replace(VERSION_PREFIX, HIDDEN_PREFIX, 1)

    def changes(self, labels: Mapping[str, NDArray[np.float64]]) -> int:
        """Number of clips whose label, or that of a segment, is new, edited or gone since this round."""
        before = {**self.labelled, **self.tested}
        same = {clip for clip, label in labels.items() if clip in before and _same(before[clip], label)}
        return len({file_of(clip) for clip in (labels.keys() | before.keys()) - same})


class Extension(Record):
    """More of a round's ranking than its record published, since annotators came near the end of that."""

    FILE = "extension.json"
    AFTER_DAMAGE = "Annotators are served the round's first tasks again, and more of its ranking after those."

    round: str  # version of the round
    part: int = Field(ge=1)  # how often its queue was extended
    published: tuple[int, ...]  # task ids, highest priority first: what was left of the queue, and what came on top

    @property
    def version(self) -> str:
        """The model_version that Label Studio shows."""
        return f"{self.round}-{self.part}"


def described(schema: LabelSchema) -> dict[str, Any]:
    """The fields of a draft that say what kind of answer was asked for."""
    return {"classes": schema.classes, "scales": schema.scales, "label_kind": schema.kind}


def _same(first: Sequence[float], second: NDArray[np.float64]) -> bool:
    return len(first) == len(second) and np.allclose(first, second, atol=1e-9, equal_nan=True)
