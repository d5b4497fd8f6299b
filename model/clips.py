"""What the rest of the room talks about: clips, and how far a long job has come."""

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[str, int, int], None]
"""Called as `progress(stage, done, total)` about once a second.

Raising in it cancels the job, which leaves nothing half-written.
"""


def silent(stage: str, done: int, total: int) -> None:
    """The progress callback of someone who doesn't look."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One audio item of a pool."""

    id: str  # hash of the decoded samples: the same audio is the same clip wherever it came from
    seconds: float  # duration of the decoded audio, > 0
    speaker: str | None = None  # who speaks, where the project knows; folds and the exam are then speaker-disjoint
