"""How much memory this process has taken at most."""

import resource
import sys

import torch


def peak_memory() -> dict[str, float]:
    """GB, by "memory" and, where there is a GPU, "gpu memory"; since the process began."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"memory": most * (1 if sys.platform == "darwin" else 1024) / 1e9}  # KiB but on macOS
    if torch.cuda.is_available():
        found["gpu memory"] = torch.cuda.max_memory_allocated() / 1e9
    return found
