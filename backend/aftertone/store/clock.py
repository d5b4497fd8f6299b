"""Moments and durations that the store keeps, read so that a clock that was wrong once holds nothing up."""

import math
from typing import Annotated

from pydantic import AfterValidator

Moment = Annotated[float, AfterValidator(lambda at: at if math.isfinite(at) else 0.0)]
"""Epoch seconds, by this machine's clock; what can't be a moment counts as long ago."""


MOST = 1e10  # seconds, which is 300 years

Durations = Annotated[
    dict[str, float], AfterValidator(lambda took: {name: s for name, s in took.items() if 0 <= s < MOST})
]
"""Seconds by what took them; what can't be a number of seconds is left out."""


def elapsed(at: float, now: float) -> float:
    """Seconds from a kept moment until now, both in epoch seconds.

    Infinite for a moment still to come: a clock that was ahead wrote it, or this one was set back, and nobody knows how
    long ago that was. So whoever waits for time to pass waits no longer.
    """
    return now - at if at <= now else math.inf
