"""The pool on disk: every clip decoded once, and the frozen CNN's frames of each clip.

    index.tsv                       a line per clip: samples, id
    clips/3f/3f9a....npy            int16 PCM, mono, 16 kHz
    features/<fingerprint>/3f/...   (T, C) float16 frames of the backbone whose CNN has this fingerprint; pre-training
                                    keeps its teacher's embeddings in the same way

Every file is renamed to its place when whole, so a kill at any time costs at most a few seconds of work. A power cut
may cost the clips of half a minute: a clip is known by the hash of its samples, and fetched again where that differs.
Features can't be told so, and get their names once the disk has them. Files of other names are ignored.
"""

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aftertone_model.data.clips import CLIP_FILE, ID_DIGITS, SAMPLE_RATE, Clip
from aftertone_model.data.files import set_aside, whole_file, whole_files, write_text
from aftertone_model.errors import DamagedFileError
from aftertone_model.progress import Progress, silent

if TYPE_CHECKING:
    from aftertone_model.data.side_by_side import Apply  # brings torch, which a pool doesn't need

log = logging.getLogger(__name__)

FULL_SCALE = 32_768  # of int16 PCM
COMMIT_SECONDS = 5.0  # of work on features that a kill may cost
AT_ONCE = 32.0  # seconds of audio, whose activations in a CNN are 0.6 GB in the shape of wav2vec2-base

FETCHED_AGAIN = "The clip's audio is fetched and decoded again."
UNREADABLE = (ValueError, EOFError, IsADirectoryError)  # by numpy


class Pool:
    """Decoded clips and their cached frames under one folder; several processes may use it at once.

    In memory it holds one small index entry per clip and nothing else. A damaged file is set aside when it is read:
    `DamagedFileError` then says what another try makes again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index = folder / "index.tsv"
        self._samples: dict[str, int] = {}  # clip id -> samples
        self._read = 0  # bytes of the index read so far
        self._refresh()

    def add(self, waveform: NDArray[np.float32]) -> Clip:
        """Keep a decoded clip (S,), 16 kHz; the same samples twice are one clip. Scaled down if beyond full scale."""
        peak = max(1.0, float(np.abs(waveform).max()))
        pcm = np.clip(np.rint(waveform * (FULL_SCALE / peak)), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        clip_id = hashlib.sha256(pcm.tobytes()).hexdigest()[:ID_DIGITS]
        path = self._clip_path(clip_id)
        known = clip_id in self
        if not known or not path.is_file():
            _save(path, pcm)
        if not known:
            self._append(clip_id, len(pcm))
        return self.clip(clip_id)

    def __contains__(self, clip_id: str) -> bool:
        if clip_id not in self._samples:
            self._refresh()
        if clip_id not in self._samples and self._clip_path(clip_id).exists():
            self._rebuild()  # the index lost its line
        return clip_id in self._samples

    def __len__(self) -> int:
        self._refresh()
        return len(self._samples)

    def clip(self, clip_id: str) -> Clip:
        """The clip's record, without a speaker, whom only the project knows. KeyError if there is no such clip."""
        if clip_id not in self:
            raise KeyError(clip_id)
        return Clip(id=clip_id, seconds=self._samples[clip_id] / SAMPLE_RATE)

    def waveform(self, clip_id: str) -> NDArray[np.float32]:
        """The decoded samples (S,), 16 kHz, in [-1, 1).

        Raises:
            DamagedFileError: they are no longer what was added; adding the clip's audio again mends it.
        """
        path = self._clip_path(clip_id)
        try:
            pcm = np.load(path)
            if hashlib.sha256(pcm.tobytes()).hexdigest()[:ID_DIGITS] != clip_id:
                raise ValueError("these samples are another clip's")
        except (FileNotFoundError, *UNREADABLE):
            set_aside(path)
            raise DamagedFileError(path, FETCHED_AGAIN, clips=(clip_id,)) from None
        return pcm.astype(np.float32) / FULL_SCALE

    def keep(
        self,
        name: str,
        encode: Callable[[NDArray[np.float32]], NDArray[Any]],
        clips: Sequence[Clip],
        progress: Progress = silent,
        apply: "Apply" = map,
    ) -> None:
        """Compute and keep what `encode` makes of a waveform (S,), for files that have nothing under `name` yet.

        Args:
            apply: computes several waveforms at once, `AT_ONCE` seconds of audio at most or a single one.

        Raises:
            DamagedFileError: clips can't be read; the error names all of them, and the others' features are kept.
        """
        folder = self._features_folder(name)
        present = set(_names(folder))
        missing = [file for file in dict.fromkeys(clip.file for clip in clips) if file not in present]
        damaged: list[DamagedFileError] = []
        committed, done = time.monotonic(), 0

        def compute(file: str) -> NDArray[Any] | DamagedFileError:
            try:
                return encode(self.waveform(file))
            except DamagedFileError as error:
                return error

        with whole_files(self.folder) as batch:
            for files in self._together(missing):
                for file, found in zip(files, apply(compute, files), strict=True):
                    progress("extract", done, len(missing))
                    done += 1
                    if isinstance(found, DamagedFileError):
                        damaged.append(found)
                        continue
                    with batch.file(_fanned(folder, file)) as scratch, scratch.open("wb") as out:
                        np.save(out, found)
                    if time.monotonic() - committed > COMMIT_SECONDS:
                        batch.commit()
                        committed = time.monotonic()
        if damaged:
            lost = tuple(clip for error in damaged for clip in error.clips)
            raise DamagedFileError(damaged[0].path, FETCHED_AGAIN, clips=lost)
        progress("extract", len(missing), len(missing))

    def _together(self, files: Sequence[str]) -> Iterator[list[str]]:
        """Files in their order, as many at a time as memory has room for their activations."""
        some: list[str] = []
        samples = 0
        self._refresh()  # another process may have added them
        for file in files:
            samples += self._samples.get(file, 0)
            if some and samples > AT_ONCE * SAMPLE_RATE:
                yield some
                some, samples = [], self._samples.get(file, 0)
            some.append(file)
        if some:
            yield some

    def frames(self, name: str, clip: Clip) -> NDArray[Any]:
        """The frames (T, C) of a clip that `keep` kept under `name`, of a segment at least one; read-only.

        They are mapped from disk, not read.

        Raises:
            FileNotFoundError: nothing was kept for this clip.
            DamagedFileError: the file can't be read; `keep` and `extract` make it again, with all others under `name`
                that are cut short or no arrays. Garbled numbers go unnoticed.
        """
        folder = self._features_folder(name)
        path = _fanned(folder, clip.file)
        try:
            frames = np.load(path, mmap_mode="r")
        except UNREADABLE:
            for other in {path, *(_fanned(folder, file) for file in _names(folder))}:
                if not _readable(other):
                    set_aside(other)
            raise DamagedFileError(path, "The clip's features are computed again.") from None
        if not clip.audio:
            return frames
        rate = len(frames) / self.clip(clip.audio).seconds  # frames per second
        first = min(round(clip.start * rate), len(frames) - 1)
        return frames[first : max(round((clip.start + clip.seconds) * rate), first + 1)]

    def clip_ids(self) -> Iterator[str]:
        """Ids of the clips on disk, from 256 directory listings."""
        return _names(self.folder / "clips")

    def _clip_path(self, clip_id: str) -> Path:
        return _fanned(self.folder / "clips", clip_id)

    def _features_folder(self, name: str) -> Path:
        return self.folder / "features" / name

    def _append(self, clip_id: str, samples: int) -> None:
        with self._index.open("ab+") as index:
            if index.tell() and index.seek(-1, os.SEEK_END) and index.read(1) != b"\n":
                index.write(b"\n")  # ends a line that a power cut tore
            index.write(f"{samples}\t{clip_id}\n".encode())
        self._samples[clip_id] = samples

    def _refresh(self) -> None:
        """Take in what this or another process has appended to the index since the last look."""
        try:
            size = self._index.stat().st_size
        except FileNotFoundError:
            return
        if self._index.is_dir() or (size == 0 and any(self.clip_ids())):
            self._damaged()
        if size == self._read:
            return
        with self._index.open("rb") as index:
            index.seek(self._read)
            whole, newline, rest = index.read().rpartition(b"\n")  # a line still being written is read next time
        self._read += len(whole) + len(newline)
        try:
            for line in whole.decode("ascii").split("\n"):
                samples, _, clip_id = line.partition("\t")
                if len(clip_id) == ID_DIGITS:  # a torn line is shorter
                    self._samples[clip_id] = int(samples)
            if len(rest) > 2 * ID_DIGITS:
                raise ValueError("no line is that long")
        except ValueError:
            self._damaged()

    def _damaged(self) -> None:
        set_aside(self._index)
        self._rebuild()
        raise DamagedFileError(self._index, "It was made again from the clips on disk.")

    def _rebuild(self) -> None:
        """Make the index from the clips on disk."""
        self._samples = {}
        for clip_id in sorted(self.clip_ids()):
            try:
                self._samples[clip_id] = len(np.load(self._clip_path(clip_id), mmap_mode="r"))
            except UNREADABLE:
                set_aside(self._clip_path(clip_id))
        text = "".join(f"{samples}\t{clip_id}\n" for clip_id, samples in self._samples.items())
        write_text(self._index, text)
        self._read = len(text)
        log.warning("%s: made again from the clips on disk", self._index, extra={"action": "index_rebuilt"})


def _fanned(folder: Path, name: str) -> Path:
    """One of 256 subfolders, so that no folder of a large pool holds more than some thousand files."""
    return folder / name[:2] / f"{name}.npy"


def _names(folder: Path) -> Iterator[str]:
    """Ids of all files under a fanned folder, from 256 directory listings instead of a look per clip."""
    if not folder.is_dir():
        return
    for fan in folder.iterdir():
        if re.fullmatch("[0-9a-f]{2}", fan.name) and fan.is_dir():
            with os.scandir(fan) as files:
                yield from (
                    file.name[:ID_DIGITS] for file in files if file.is_file() and CLIP_FILE.fullmatch(file.name)
                )


def _readable(path: Path) -> bool:
    try:
        np.load(path, mmap_mode="r")
    except UNREADABLE:
        return False
    return True


def _save(path: Path, array: NDArray[np.generic]) -> None:
    with whole_file(path, sync=False) as scratch, scratch.open("wb") as file:
        np.save(file, array)
