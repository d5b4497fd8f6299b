"""Short names for weights, so that what was computed with them is not taken for what others would give."""

import hashlib
from collections.abc import Mapping

from torch import Tensor


def digest(weights: Mapping[str, Tensor], prefix: bytes = b"") -> str:
    """16 hex digits; equal where names, values and the prefix are, whatever the order of the names."""
    sha = hashlib.sha256(prefix)
    for name in sorted(weights):
        weight = weights[name].detach().cpu().contiguous()
        sha.update(name.encode())
        sha.update((weight.float() if weight.is_floating_point() else weight).numpy().tobytes())
    return sha.hexdigest()[:16]
