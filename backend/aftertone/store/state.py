"""What the store holds of a project, as far as the next step depends on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from aftertone.store.records import Quiet, Source
from aftertone.store.rounds import Extension, Round
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
    extension: Extension | None = None  # of a round's queue; perhaps of an earlier round's
    damage: tuple[str, ...] = ()  # a sentence per damaged file that was set aside and still lies there

    @property
    def last(self) -> Round | None:
        """The newest complete round."""
        return self.rounds[-1] if self.rounds else None

    @property
    def queue(self) -> Round | Extension | None:
        """What annotators should be served, with its version: the newest round's queue, extended if it was."""
        last, extension = self.last, self.extension
        return extension if last and extension and extension.round == last.version else last

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
        clip: side for one in rounds for side, clips in ((False, one.labelled), (True, one.tested)) for clip in clips
    }
