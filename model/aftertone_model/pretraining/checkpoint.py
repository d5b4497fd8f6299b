"""One file that holds tensors and a JSON state together, so that no kill can leave one without the other."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


def save_checkpoint(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write beside `path` and rename when whole: `path` holds the old checkpoint or this one, nothing between."""
    part = path.with_name(f".{uuid4().hex}.part")
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part, {"state": json.dumps(state)})
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors, on the CPU, and state of a checkpoint, or None where there is none that can be read."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["state"])  # noqa: SIM118
    except (FileNotFoundError, SafetensorError):
        return None
