"""How much memory this process has taken at most."""

import torch

from aftertone_model.memory import peak_memory as main_memory


def peak_memory() -> dict[str, float]:
    """GB, by "memory" and, where there is a GPU, "gpu memory"; since the process began."""
    found = {"memory": main_memory() / 1e9}
    if torch.cuda.is_available():
        found["gpu memory"] = torch.cuda.max_memory_allocated() / 1e9
    return found
