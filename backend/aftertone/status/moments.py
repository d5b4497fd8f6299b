"""Moments, durations and rates for people."""

import math
import time

from aftertone.store.clock import elapsed


def ago(at: float, now: float | None = None) -> str:
    """How long ago a moment in epoch seconds was."""
    seconds = elapsed(at, time.time() if now is None else now)
    if math.isinf(seconds):
        return "by a clock that was ahead"
    return f"{duration(seconds)} ago"


def duration(seconds: float) -> str:
    """Such as `40 s`, `12 min`, `5 h` or `3 days`."""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def pace(per_second: float) -> str:
    """Such as `12 a second`, `40 a minute` or `3 an hour`."""
    for unit, seconds in (("second", 1), ("minute", 60)):
        if per_second * seconds >= 1:
            return f"{per_second * seconds:.3g} a {unit}"
    return f"{per_second * 3600:.2g} an hour"
