"""What every long computation needs beside its inputs."""

from dataclasses import dataclass, field

import torch

from aftertone_model.data.pool import Pool
from aftertone_model.errors import DeviceError
from aftertone_model.progress import Progress, silent


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Where and how to compute; passed as one thing through all layers."""

    pool: Pool  # holds every clip that is spoken of
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0  # of everything that is drawn
    progress: Progress = silent


def device_named(name: str) -> torch.device:
    """ "cpu", "cuda", "cuda:1", or "auto" for a GPU where there is one.

    Raises:
        DeviceError: there is no such GPU.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = torch.device("cuda" if count else "cpu") if name == "auto" else torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= count:
        raise DeviceError(
            f"DEVICE={name}, but PyTorch sees {count or 'no'} GPU{'s' * (count != 1)} here. Install the driver "
            "and, in a container, the NVIDIA Container Toolkit, and PyTorch with CUDA; or set DEVICE=cpu."
        )
    return device


def device_name(device: torch.device) -> str:
    """A device for people: its name, and which GPU it is."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
