"""What rounds are judged by for the stop advice: the labels of a held-out test set, of whatever kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Protocol

from aftertone_model.evaluation.bootstrap import Basis, scope

MIN_GAIN = 0.01  # of UA, or of CCC, per 100 labels: what is surely below this doesn't pay for 100 labels
MIN_TEST_CLIPS = 50  # labelled test clips; with fewer the interval is so wide that nothing can be told
MIN_COMPARED = 30  # clips that two rounds must share, or their agreement says nothing

Answers = Mapping[str, tuple[str, ...]]
"""Clip id -> the words of its answer: classes that apply, one where they exclude each other; or ratings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Milestone:
    """What one round leaves behind for the advice."""

    labels: int  # clips that the round trained on
    per_class: tuple[float, ...]  # (C,) training labels of each class; soft votes count in parts
    predictions: Mapping[str, int]  # clip of the stop set that had no label yet -> decision
    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Test clip, labelled or not -> the words of the answer. Empty in rounds of versions that kept none."""


class Trend(StrEnum):
    """What can be said of the figure as labels grow."""

    IMPROVES = "improves"  # the interval lies above 0, and may reach `MIN_GAIN`
    FLAT = "flat"  # it lies below `MIN_GAIN`
    UNCLEAR = "unclear"  # it holds both 0 and `MIN_GAIN`: more test clips, or more labels between rounds, would tell


@dataclass(frozen=True, kw_only=True, slots=True)
class Slope:
    """Change of a figure per 100 labels, as a share of 1, with its 95 % interval."""

    value: float
    low: float
    high: float
    clips: int  # test clips that it rests on
    basis: Basis
    speakers: int | None  # voices among them; None where not all are known

    @property
    def trend(self) -> Trend:
        """What follows from the interval."""
        if self.high < MIN_GAIN:
            return Trend.FLAT
        return Trend.IMPROVES if self.low > 0 else Trend.UNCLEAR

    @property
    def scope(self) -> str:
        """For whom the interval holds, for people."""
        return scope(self.basis, self.speakers)


class HeldOut(Protocol):
    """The labels of a test set, and how rounds are judged by them."""

    figure: ClassVar[str]  # that is measured, for people
    agreement_figure: ClassVar[str]  # that says how far two rounds agree
    unit: ClassVar[str]  # a hundredth of the figure, for people
    part: ClassVar[str]  # what a label has a number for, for people
    compared: ClassVar[str]  # clips on which rounds are compared

    def slope(self, rounds: Sequence[tuple[int, Answers]], classes: Sequence[str], seed: int) -> Slope | None:
        """Change of the figure per 100 labels, from rounds' labels and answers to test clips, oldest first.

        None with fewer than two rounds of different size, or fewer than `MIN_TEST_CLIPS` clips that all have answered.
        """
        ...

    def agreement(self, earlier: Milestone, later: Milestone) -> float | None:
        """How far two rounds agree on clips that neither learned from, at most 1; None with too few of them."""
        ...
