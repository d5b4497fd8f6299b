"""The record of a round: what it learned from, what it found, whom it asks next."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aftertone_model.evaluation.metrics import Estimate, Metrics

VERSION_PREFIX = "aftertone-"
GUESS_PREFIX = "guess-"


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round, as `round.json` holds it; never changed once it is written."""

    number: int  # 0 is the seed set where there is one
    kind: Literal["seed", "trained"]
    created_at: str  # ISO 8601, UTC
    seed: int  # random seed of everything that was drawn
    strategy: str  # acquisition function, or how the seed set was found
    classes: tuple[str, ...]
    batch: int  # k: labels that the next round waits for
    published: tuple[int, ...]  # task ids, ask first first
    labelled: Mapping[str, Sequence[float]] = field(default_factory=dict)  # clip -> soft label that it was trained on
    examined: Mapping[str, Sequence[float]] = field(default_factory=dict)  # clip -> soft label of the exam
    exam: Metrics | None = None  # how the model did on the exam; None without exam labels
    training: Mapping[str, Any] | None = None  # how training went
    stops: Mapping[str, int] = field(default_factory=dict)  # clip of the stop set -> class predicted
    advice: str = ""  # whether labelling more still pays, and why
    seconds: Mapping[str, float] = field(default_factory=dict)  # wall clock of each part

    @property
    def labels(self) -> int:
        """Number of labelled clips that the round knew, exam included."""
        return len(self.labelled) + len(self.examined)

    @property
    def version(self) -> str:
        """The model_version that Label Studio shows: the number, and a digest so that no two rounds share a name."""
        identity = repr((self.number, self.created_at, self.published)).encode()
        return f"{VERSION_PREFIX}{self.number:03d}-{hashlib.sha256(identity).hexdigest()[:6]}"

    @property
    def guess_version(self) -> str:
        """The version of answers given to /predict: another name, or they would enter the annotators' queue."""
        return self.version.replace(VERSION_PREFIX, GUESS_PREFIX, 1)

    def changes(self, labels: Mapping[str, NDArray[np.float64]]) -> int:
        """Number of clips whose label is new, edited or gone since this round."""
        before = {**self.labelled, **self.examined}
        same = sum(clip in before and _same(before[clip], label) for clip, label in labels.items())
        return len(labels.keys() | before.keys()) - same

    def to_json(self) -> dict[str, Any]:
        """The record as JSON, with the derived version and count for people who read the file."""
        return {"version": self.version, "labels": self.labels, **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Round":
        """The record that `to_json` wrote."""
        rest = {key: item for key, item in value.items() if key not in ("version", "labels")}
        tuples = {key: tuple(rest[key]) for key in ("classes", "published")}
        return cls(**{**rest, **tuples, "exam": read_metrics(rest["exam"])})


def _same(first: Sequence[float], second: NDArray[np.float64]) -> bool:
    return len(first) == len(second) and np.allclose(first, second, atol=1e-9)


def read_metrics(value: Mapping[str, Any] | None) -> Metrics | None:
    """Metrics from the JSON of their fields."""
    if value is None:
        return None
    estimates = {key: Estimate(**value[key]) for key in ("ua", "wa", "macro_f1")}
    tuples = {"classes": tuple(value["classes"]), "recall": tuple(value["recall"])}
    return Metrics(**{**value, **estimates, **tuples, "confusion": tuple(map(tuple, value["confusion"]))})
