"""What the store holds of a project, as far as the next step depends on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from aftertone.store.records import Quiet, Source
from aftertone.store.rounds import Extension, Round
from aftertone_model.data.clips import file_of
from aftertone_model.pretraining.record import Adaptation


@dataclass(frozen=True, kw_only=True)
class State:
    """What the store holds, as far as the next step depends on it."""

    sources: Mapping[str, Source] = field(default_factory=dict)
    held_out: Mapping[str, bool] = field(default_factory=dict)  # clip -> whether it is held out for testing
    quiet: Quiet | None = None  # None before the first look
    adaptation: Adaptation | None = None  # None before TAPT is done, or found not to help
    rounds: tuple[Round, ...] = ()  # complete ones, oldest first
    current: int | None = None  # number of the round that was last put in front of the annotators
    trained: bool = False  # a model was trained for the next round, which isn't complete yet
    train_requested: bool = False  # somebody pressed Start Training
    train_anyway: bool = False  # somebody wants a training although no label may be new
    paused: bool = False  # nothing new is done
    rolled_back: frozenset[int] = frozenset()  # numbers of rounds that are kept and count no more
    chosen: int | None = None  # number of the round that the last rollback went to
    asked: tuple[str, ...] = ()  # clips that people want to be asked for next
    extension: Extension | None = None  # of a round's queue; perhaps of an earlier round's
    damage: tuple[str, ...] = ()  # a sentence per damaged file that was set aside and still lies there

    @cached_property
    def standing(self) -> tuple[Round, ...]:
        """The complete rounds that aren't rolled back, oldest first."""
        return tuple(record for record in self.rounds if record.number not in self.rolled_back)

    @property
    def last(self) -> Round | None:
        """The newest complete round that isn't rolled back: what annotators are to be served."""
        return self.standing[-1] if self.standing else None

    @property
    def newest(self) -> Round | None:
        """The newest complete round, rolled back or not: the last one that learned from labels."""
        return self.rounds[-1] if self.rounds else None

    @property
    def queue(self) -> Round | Extension | None:
        """What annotators should be served, with its version: the last round's queue, extended if it was."""
        last, extension = self.last, self.extension
        return extension if last and extension and extension.round == last.version else last

    @property
    def next_number(self) -> int:
        """Number of the round to come, which no round ever had: 1 where there is none."""
        return max([record.number for record in self.rounds] + [*self.rolled_back], default=0) + 1

    @cached_property
    def test_clips(self) -> frozenset[str]:
        """Clips that are never trained on."""
        return frozenset(clip for clip, held_out in self.held_out.items() if held_out)

    def unsettled(self, settle_seconds: float, now: float) -> float:
        """Seconds for which the first import must stay quiet yet; 0 when it has, or a round exists."""
        since = self.quiet.since if self.quiet is not None else now
        return 0.0 if self.rounds else max(0.0, settle_seconds - (now - since))


def sides_of(rounds: Sequence[Round]) -> dict[str, bool]:
    """The test split as far as the rounds' records tell, for a project that lost it."""
    return {
        file_of(clip): side
        for one in rounds
        for side, clips in ((False, one.labelled), (True, one.tested))
        for clip in clips
    }
