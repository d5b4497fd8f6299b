"""What every long computation needs beside its inputs."""

from dataclasses import dataclass, field

import torch

from aftertone_model.data.pool import Pool
from aftertone_model.progress import Progress, silent


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Where and how to compute; passed as one thing through all layers."""

    pool: Pool  # holds every clip that is spoken of
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0  # of everything that is drawn
    progress: Progress = silent


def device_named(name: str) -> torch.device:
    """ "cpu", "cuda", "cuda:1", or "auto" for a GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else torch.device(name)
