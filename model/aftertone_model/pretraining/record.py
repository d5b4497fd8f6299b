"""What task-adaptive pre-training left behind: whether its backbone is used, why, and how its losses went."""

from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from aftertone_model.data.files import write_json
from aftertone_model.errors import DamagedFileError


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """Losses at one validation."""

    step: int  # optimiser steps taken so far
    contrastive: float  # nats per masked frame of the held-out clips, AFTER eq. 1
    reconstruction: float  # nats per masked frame of the held-out clips, AFTER eq. 2
    perplexity: float  # of the codes of all held-out frames, as a share of its maximum, in (0, 1]
    training: float | None  # the loss trained on, mean per step since the last validation; None at the start
    distillation: float | None = None  # of the held-out clips, in units of the targets' variance; None: no teacher

    @property
    def objective(self) -> float:
        """What the best weights are chosen by, lower is better: likeness to the teacher, where there is one."""
        return self.contrastive if self.distillation is None else self.distillation


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """The record of one TAPT run, kept as adaptation.json beside the backbone."""

    kept: bool  # True: the folder holds the adapted backbone; False: the one that it started from
    reason: str  # a sentence for people: what came of it and why
    clips: int  # clips of the pool when it ran, short ones included
    seconds_of_audio: float  # of the clips trained on
    held_out: int  # clips that gave the validation losses
    mask_ratio: float  # share of frames that were in fact masked in training
    steps: int  # optimiser steps taken
    seconds: float  # wall clock, over all attempts
    seed: int
    settings: dict[str, float]
    curve: tuple[CurvePoint, ...]

    def outgrown_by(self, clips: int, share: float) -> bool:
        """Whether a pool that now has `clips` clips grew by more than `share` since: worth another run on request."""
        return clips > self.clips * (1 + share)

    def write(self, folder: Path) -> None:
        write_json(folder / "adaptation.json", asdict(self))


def read_adaptation(folder: Path) -> Adaptation | None:
    """The record of the run whose backbone is in `folder`; None where none has finished.

    Raises:
        DamagedFileError: the record can't be read; the folder is left as it is.
    """
    file = folder / "adaptation.json"
    try:
        return TypeAdapter(Adaptation).validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        remedy = f"Remove {folder} to adapt the backbone again."
        raise DamagedFileError(file, remedy, set_aside=False) from None
