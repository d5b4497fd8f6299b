"""What pre-training left behind: whether its backbone is used, why, and how its losses went."""

import json
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from aftertone_model.data.files import write_json
from aftertone_model.errors import DamagedFileError

FIRST_TERMS = ("contrastive", "reconstruction", "distillation")  # fields of their own before objectives had names


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """Losses at one validation."""

    step: int  # optimiser steps taken so far
    losses: dict[str, float]  # on the held-out clips, by the name of the term; of masked frames in nats per frame
    judge: str  # name of the loss that the best weights are chosen by
    perplexity: float  # of the codes in use, as a share of its maximum, in (0, 1]; 1 where there are none
    training: float | None  # the loss trained on, mean per step since the last validation; None at the start
    warming: bool = False  # heads that started untrained were still learning alone: no reference for what follows

    @property
    def objective(self) -> float:
        """What the best weights are chosen by, lower is better: likeness to the teacher, where there is one."""
        return self.losses[self.judge]


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """The record of one run, kept as adaptation.json beside the backbone."""

    kept: bool  # True: the folder holds the adapted backbone; False: the one that it started from
    reason: str  # a sentence for people: what came of it and why
    clips: int  # clips of the pool when it ran, short ones included
    seconds_of_audio: float  # of the clips trained on
    held_out: int  # clips that gave the validation losses
    mask_ratio: float  # share of frames that were in fact masked in training
    steps: int  # optimiser steps taken, those skipped included
    seconds: float  # wall clock, over all attempts
    seed: int
    settings: dict[str, Any] = field(default_factory=dict[str, Any])  # of its `PretrainingConfig`
    curve: tuple[CurvePoint, ...] = ()
    skipped: int = 0  # steps whose gradient was not a number
    backbone: str = ""  # name of the one that it started from; '' where an earlier version wrote none
    made_for: str = ""  # what else than TAPT a method did to it: see `method_names.purpose`

    def of_another(self, backbone: str) -> bool:
        """Whether it started from another backbone than the named one, as far as both are known by name."""
        return bool(self.backbone and backbone) and self.backbone != backbone

    def outgrown_by(self, clips: int, share: float) -> bool:
        """Whether a pool that now has `clips` clips grew by more than `share` since: worth another run on request."""
        return clips > self.clips * (1 + share)

    def write(self, folder: Path) -> None:
        """As adaptation.json."""
        write_json(folder / "adaptation.json", asdict(self))


def read_adaptation(folder: Path) -> Adaptation | None:
    """The record of the run whose backbone is in `folder`; None where none has finished.

    Raises:
        DamagedFileError: the record can't be read; the folder is left as it is.
    """
    file = folder / "adaptation.json"
    try:
        record = json.loads(file.read_bytes())
        curve = [_upgraded(point) for point in record["curve"]]
        return TypeAdapter(Adaptation).validate_python(record | {"curve": curve})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        remedy = f"Remove {folder} to adapt the backbone again."
        raise DamagedFileError(file, remedy, set_aside=False) from None


def _upgraded(point: dict[str, Any]) -> dict[str, Any]:
    """A point of the curve as it is written today."""
    if "losses" in point:
        return point
    losses = {name: value for name in FIRST_TERMS if (value := point.pop(name, None)) is not None}
    return {**point, "losses": losses, "judge": "distillation" if "distillation" in losses else "contrastive"}
