"""Fuzz the decoding of audio, in the very processes that an ingest uses.

    python -m tests.fuzz.decode --mutants 20000 [--seed S] [--corpus FOLDER] [--keep FOLDER]

Each mutant must give samples or a reason. It fails where anything else is raised, where a decoder crashes, hangs, is
lost or goes to a file or port that a mutant names; such mutants are kept.
"""

import argparse
import contextlib
import os
import re
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aftertone_model.data.audio import decode
from aftertone_model.data.decoders import Decoders
from aftertone_model.data.manifest import read_manifest
from aftertone_model.errors import AudioError, DecoderLostError
from tests.fuzz.mutants import Mutator
from tests.recordings import CONTAINERS, SAMPLE_RATE, encoded, tone

PROCESSES = 2
BLOCK = 200  # mutants between two lines of progress
CLIPS = 3  # of a corpus, each in every container
SLOW = 5.0  # seconds for one mutant from which on it is named
BAD = ("ALARM", "CRASH", "LOST", "UNCAUGHT")


class Fuzz:
    """One run."""

    def __init__(self, corpus: Path | None, seed: int, keep: Path, folder: Path) -> None:
        self._keep, self._folder = keep, folder
        canary = folder / "canary.wav"
        canary.write_bytes(encoded(tone(1.0)))
        self._port = socket.create_server(("127.0.0.1", 0))
        self._port.setblocking(False)
        number = self._port.getsockname()[1]
        self.mutator = Mutator(dict(_files(corpus)), canary, number, seed)
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0

    def run(self, mutants: int) -> bool:
        """Decode so many mutants. Returns whether all went well."""
        began = time.monotonic()
        with Decoders(PROCESSES) as decoders, ThreadPoolExecutor(PROCESSES) as threads:
            for start in range(0, mutants, BLOCK):
                drawn = [self.mutator.next() for _ in range(min(BLOCK, mutants - start))]
                jobs = [(decoders, start + number, *mutant) for number, mutant in enumerate(drawn)]
                for outcome in threads.map(lambda job: self._decode(*job), jobs):
                    self.outcomes[outcome] += 1
                done = start + len(drawn)
                bad = sum(count for outcome, count in self.outcomes.items() if outcome.startswith(BAD))
                print(f"{done}/{mutants}  {done / (time.monotonic() - began):.0f}/s  bad {bad}", flush=True)
        return not any(outcome.startswith(BAD) for outcome in self.outcomes)

    def _decode(self, decoders: Decoders, number: int, kind: str, content: bytes) -> str:
        began = time.monotonic()
        with tempfile.TemporaryFile(dir=self._folder) as file:
            file.write(content)
            file.flush()
            outcome = self._outcome(decoders, file)
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        if outcome == "decoded" and kind.startswith("playlist:"):
            outcome = f"ALARM {kind} was decoded"
        if self._touched():
            outcome = f"ALARM a connection came during {kind}"
        if outcome.startswith(BAD) or took > SLOW:
            self._keep.mkdir(parents=True, exist_ok=True)
            (self._keep / f"{number}.bin").write_bytes(content)
            print(f"mutant {number} ({kind}, {len(content)} bytes, {took:.1f} s): {outcome}", flush=True)
        return outcome

    def _outcome(self, decoders: Decoders, file: BinaryIO) -> str:
        try:
            waveform = decoders.decode(file)
        except DecoderLostError as error:
            return f"LOST {error}"
        except AudioError as error:
            reason = str(error)
            return f"CRASH {reason}" if "crashes" in reason else f"refused: {_kind(reason)}"
        except Exception as error:
            return f"UNCAUGHT {type(error).__name__}: {error}"
        sound = waveform.dtype == np.float32 and waveform.ndim == 1 and np.isfinite(waveform).all() and waveform.size
        return "decoded" if sound else f"UNCAUGHT {waveform.dtype} {waveform.shape}"

    def _touched(self) -> bool:
        try:
            self._port.accept()[0].close()
        except BlockingIOError:
            return False
        return True


def _files(corpus: Path | None) -> Iterator[tuple[str, bytes]]:
    clips = [tone(1.0, hertz=300.0), tone(0.4, hertz=900.0)]
    if corpus is not None:
        rows = read_manifest(corpus)
        step = max(len(rows) // CLIPS, 1)
        clips = [decode(row.path)[: 3 * SAMPLE_RATE, None] for row in rows[::step][:CLIPS]]
    for number, clip in enumerate(clips):
        for name, encode in CONTAINERS.items():
            yield f"{number}-{name}", encode(clip, SAMPLE_RATE)


def _kind(reason: str) -> str:
    """The first sentence of a reason without its numbers."""
    return re.sub(r"\d+(\.\d+)?( min)?", "N", reason.partition(". ")[0])[:90]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, help="a folder of audio or a manifest.csv; tones without it")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "decode-mutants")
    options = parser.parse_args()
    os.nice(10)
    began = time.monotonic()
    keep = options.keep.resolve()
    corpus = options.corpus and options.corpus.resolve()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # where playlists look
        fuzz = Fuzz(corpus, options.seed, keep, Path(folder))
        well = fuzz.run(options.mutants)
    for outcome, count in fuzz.outcomes.most_common():
        print(f"{count:7}  {outcome}")
    print(f"{options.mutants} mutants in {time.monotonic() - began:.0f} s, the slowest took {fuzz.slowest:.1f} s")
    print("all well" if well else f"NOT well; see {options.keep}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
