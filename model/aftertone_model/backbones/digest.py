"""Short names for weights, so that what was computed with them is not taken for what others would give."""

import hashlib
from collections.abc import Mapping

from torch import Tensor


def digest(weights: Mapping[str, Tensor]) -> str:
    """16 hex digits; equal where names and values are, whatever their order."""
    sha = hashlib.sha256()
    for name in sorted(weights):
        sha.update(name.encode())
        sha.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]
