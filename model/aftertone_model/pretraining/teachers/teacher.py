"""The contract of teachers: frozen models of speech whose embeddings the transformer learns to regress."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Some columns of a teacher's embeddings, and the layer of the backbone that regresses them."""

    columns: slice
    layer: int  # from the last: -1 is the transformer's last layer; what is deeper than it has layers is its first
    weight: float  # in the mean over all lessons of all teachers


class Teacher(Protocol):
    """Embeds speech, one vector per `hop` samples."""

    name: str  # of its term in the loss
    fingerprint: str  # names what it computes, so that embeddings in a pool are not taken for another teacher's
    hop: int  # samples per embedding

    @property
    def lessons(self) -> Sequence[Lesson]:
        """What there is to learn from it."""
        ...

    def embed(self, waveform: NDArray[np.float32]) -> NDArray[Any]:
        """(T, E) float16 from (S,) samples at 16 kHz, at any level; T is about S / hop, at least 1."""
        ...
