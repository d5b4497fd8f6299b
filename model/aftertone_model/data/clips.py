"""Clips: what the rest of the package talks about."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

SAMPLE_RATE = 16_000  # Hz, of all decoded audio
MIN_SECONDS = 0.1  # shorter clips hold fewer frames than a mean over time needs
ID_DIGITS = 24  # hex digits of a decoded file's id: 96 bits of SHA-256 over its PCM
PART = "@"  # between a file's id and what tells its segments apart
CLIP_FILE = re.compile(f"[0-9a-f]{{{ID_DIGITS}}}[.]npy")  # name of what is kept of a decoded file


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One unit of learning: a decoded audio file of a pool, or a segment of one."""

    id: str  # of a whole file the hash of its samples: the same audio is the same clip wherever it came from
    seconds: float  # duration, > 0
    speaker: str | None = None  # who speaks, where it is known; folds and the test split are then speaker-disjoint
    audio: str = ""  # of a segment: id of the file that it is a part of
    start: float = 0.0  # of a segment: seconds into that file
    attributes: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)  # what else is known: gender, ...

    @property
    def file(self) -> str:
        """Id of the decoded file that it is, or is a part of."""
        return self.audio or self.id

    def segment(self, start: float, seconds: float) -> "Clip":
        """The part of this file that begins `start` seconds into it, as a clip of its own.

        Raises:
            ValueError: no part of it begins there and lasts so long.
        """
        if self.audio or not (start >= 0 and seconds > 0 and start + seconds <= self.seconds + 1e-3):
            raise ValueError(f"{seconds} s from {start} s on are no part of a file of {self.seconds} s")
        return replace(
            self, id=f"{self.file}{PART}{start:.3f}+{seconds:.3f}", seconds=seconds, audio=self.file, start=start
        )

    def at(self, clip_id: str) -> "Clip":
        """This file, or the segment of it that has this id.

        Raises:
            ValueError: it has no such part.
        """
        _, told, part = clip_id.partition(PART)
        if not told:
            return self
        start, _, seconds = part.partition("+")
        return self.segment(float(start), float(seconds))


def file_of(clip_id: str) -> str:
    """Id of the decoded file that a clip is, or is a segment of."""
    return clip_id.partition(PART)[0]
