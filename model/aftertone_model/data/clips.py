"""Clips: what the rest of the package talks about."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One audio item of a pool."""

    id: str  # hash of the decoded samples: the same audio is the same clip wherever it came from
    seconds: float  # duration of the decoded audio, > 0
    speaker: str | None = (
        None  # who speaks, where the project knows; folds and the test split are then speaker-disjoint
    )
