"""What pre-training left behind: whether its backbone is used, why, and how its losses went."""

import json
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

FIRST_TERMS = ("contrastive", "reconstruction", "distillation")  # fields of their own before objectives had names


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """Losses at one validation."""

    step: int  # optimiser steps taken so far
    losses: dict[str, float]  # on the held-out clips, by the name of the term; of masked frames in nats per frame
    judge: str  # name of the loss that the best weights are chosen by
    perplexity: float  # of the codes or units in use, as a share of its maximum, in (0, 1]
    training: float | None  # the loss trained on, mean per step since the last validation; None at the start

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
    steps: int  # optimiser steps taken
    seconds: float  # wall clock, over all attempts
    seed: int
    settings: dict[str, Any] = field(default_factory=dict[str, Any])  # of its `PretrainingConfig`
    curve: tuple[CurvePoint, ...] = ()

    def outgrown_by(self, clips: int, share: float) -> bool:
        """Whether a pool that now has `clips` clips grew by more than `share` since: worth another run on request."""
        return clips > self.clips * (1 + share)

    def write(self, folder: Path) -> None:
        """As adaptation.json."""
        (folder / "adaptation.json").write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read_adaptation(folder: Path) -> Adaptation | None:
    """The record of the run whose backbone is in `folder`; None where none has finished."""
    try:
        record = json.loads((folder / "adaptation.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return TypeAdapter(Adaptation).validate_python(record | {"curve": [_upgraded(point) for point in record["curve"]]})


def _upgraded(point: dict[str, Any]) -> dict[str, Any]:
    """A point of the curve as it is written today."""
    if "losses" in point:
        return point
    losses = {name: value for name in FIRST_TERMS if (value := point.pop(name, None)) is not None}
    return {**point, "losses": losses, "judge": "distillation" if "distillation" in losses else "contrastive"}
