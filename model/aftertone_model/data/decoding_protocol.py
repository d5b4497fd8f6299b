"""What `Decoders` and their processes say to each other, and within which limits. Imports nothing large.

A request is a float64, the longest clip in seconds, and a byte, the place in CHANNELS of what is to be heard, with the
file's descriptor. The reply is a rate in Hz (int64), a number of bytes (int64), the file's number of channels (int64),
whether they differ (a byte), and these bytes: float32 samples; or, where the rate is 0, the reason why there are none.
"""

import math
import struct

REQUEST, REPLY = struct.Struct("<dB"), struct.Struct("<qqqB")
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000  # Hz of a file; no recording of speech lies outside


def seconds_allowed(max_seconds: float) -> int:
    """Seconds of computing that one file may take, where a clip may last `max_seconds`."""
    return 10 + math.ceil(max_seconds / 4)
