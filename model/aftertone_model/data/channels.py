"""Which channel of a recording is heard, and whether its channels say different things."""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Channel = Literal["mix", "left", "right"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)
"""The mean of all channels; the first; the second, where there is one."""

FRAMES = 20  # a second, in which the loudness of two channels is compared
APART = 10.0  # power ratio, 10 dB, from which on one channel is clearly louder in a frame
LEAST_SHARE = 0.05  # of a channel's energy that lies in frames where it is clearly the louder one
QUIET = 10 ** (-60 / 10)  # mean power, -60 dBFS, below which a channel counts as empty
UNEQUAL = 1_000.0  # power ratio, 30 dB, from which on one channel counts as the other's crosstalk


def heard(block: NDArray[Any], channel: Channel) -> NDArray[np.float32]:
    """Mono samples (S,) of a block (S, C)."""
    if channel == "mix":
        with np.errstate(invalid="ignore", over="ignore"):  # inf - inf: the samples are checked as a whole later
            return block.mean(axis=1, dtype=np.float32)
    column = 0 if channel == "left" else min(1, block.shape[1] - 1)
    return np.ascontiguousarray(block[:, column], dtype=np.float32)


class ChannelLevels:
    """How loud the first two channels are over time, gathered block by block."""

    def __init__(self) -> None:
        self.channels = 0  # C of the blocks so far; 0 before the first
        self._energies: list[NDArray[np.float64]] = []  # (F, 2) each

    def add(self, block: NDArray[Any], rate: int) -> None:
        """Take in a block (S, C) of a file at `rate` Hz."""
        self.channels = block.shape[1]
        if self.channels > 1 and len(block):
            with np.errstate(invalid="ignore", over="ignore"):
                squares = np.square(block[:, :2], dtype=np.float32)
                starts = np.arange(0, len(block), max(rate // FRAMES, 1))
                self._energies.append(np.add.reduceat(squares, starts, axis=0, dtype=np.float64))

    def differ(self, samples: int) -> bool:
        """Whether each channel is clearly the louder one for a while, as where each of two speakers has one.

        Channels of one microphone pair rise and fall together, whatever their levels, and don't.

        Args:
            samples: of one channel, in all blocks.
        """
        if not self._energies or not samples:
            return False
        energies = np.concatenate(self._energies)  # (F, 2)
        total = energies.sum(axis=0)
        if not np.isfinite(total).all() or total.min() < QUIET * samples or total.max() > UNEQUAL * total.min():
            return False
        shares = energies / total  # of its channel's energy: what one is louder in all counts for nothing
        apart = [shares[shares[:, own] > APART * shares[:, 1 - own], own].sum() for own in (0, 1)]
        return bool(min(apart) >= LEAST_SHARE)
