"""Decoding a whole corpus into a pool, on all cores, with a note of what was done so that a second run needn't."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torchaudio.functional import speed

from aftertone_model.data.audio import decode
from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.data.files import read_json, write_json
from aftertone_model.data.pool import Pool
from aftertone_model.errors import AudioError
from aftertone_model.progress import Progress, silent

BLOCK = 64  # files decoded at a time
AS_IT_IS = (1.0,)


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What became of a corpus' files."""

    clips: tuple[tuple[str, ...], ...]  # of each file: clip ids, one per speed; empty where it can't be used
    refused: tuple[str, ...]  # a line per file that can't be used: its path and why


def decode_corpus(
    pool: Pool, paths: Sequence[Path], *, speeds: Sequence[float] = AS_IT_IS, progress: Progress = silent
) -> Decoded:
    """Decode files into the pool, each at every speed, which moves its pitch too (Ko et al. 2015); 1.0 is as it is."""
    note = pool.folder / "decoded.json"
    wanted = [list(speeds), [str(path) for path in paths]]
    try:
        record = read_json(note)
    except ValueError:
        record = None  # damaged: the files are decoded again
    if record and record["wanted"] == wanted and all(id in pool for ids in record["clips"] for id in ids):
        return Decoded(clips=tuple(map(tuple, record["clips"])), refused=tuple(record["refused"]))
    clips: list[tuple[str, ...]] = []
    refused: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(paths), BLOCK):
            progress("decode", start, len(paths))
            for outcome in threads.map(partial(_at_speeds, speeds=speeds), paths[start : start + BLOCK]):
                if isinstance(outcome, str):
                    refused.append(outcome)
                    clips.append(())
                else:
                    clips.append(tuple(pool.add(waveform).id for waveform in outcome))
    progress("decode", len(paths), len(paths))
    write_json(note, {"wanted": wanted, "clips": clips, "refused": refused})
    return Decoded(clips=tuple(clips), refused=tuple(refused))


def _at_speeds(path: Path, speeds: Sequence[float]) -> list[NDArray[np.float32]] | str:
    """The decoded file at each speed, or what is wrong with it."""
    try:
        waveform = decode(path)
    except AudioError as error:
        return f"{path}: {error}"
    return [
        waveform if factor == 1.0 else speed(torch.from_numpy(waveform), SAMPLE_RATE, factor)[0].numpy()
        for factor in speeds
    ]
