"""Import: from audio files to decoded clips on disk, 16 kHz and mono."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from aftertone.labelstudio.tasks import Task
from aftertone.pipeline.ingest import ingest
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Sources
from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.data.decoders import Decoders
from aftertone_model.progress import silent
from benchmarks.speed.contest import Contender, Result, Work, compete
from benchmarks.speed.report import Table, ratio


class Files:
    """In place of downloads: the audio lies on this disk already."""

    def host(self, source: str) -> str:  # noqa: ARG002 -- as `Fetcher` has it
        return ""

    def fetch(self, task: int, source: str, file: BinaryIO) -> None:  # noqa: ARG002
        with Path(source).open("rb") as audio:
            shutil.copyfileobj(audio, file)


@dataclass
class Importing(Work):
    """Of these files into a folder, which is empty at first."""

    files: Sequence[Path]
    folder: Path

    def reset(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Ours(Importing):
    """`ingest`: in processes of their own, which a harmful file may take down, checked, hashed and written safely."""

    def run(self) -> None:
        store = self._store()
        store.folder.mkdir(parents=True)
        tasks = [Task(id=number, source=str(path)) for number, path in enumerate(self.files)]
        settings = Settings()  # pyright: ignore[reportCallIssue] -- pydantic's defaults
        with Decoders() as decoders:
            fetcher: Any = Files()
            ingest(tasks, {}, store, fetcher, decoders, settings, silent)

    def outcome(self, returned: Any) -> list[NDArray[np.float32]]:  # noqa: ARG002
        store = self._store()
        known = store.get(Sources).sources
        return [store.pool.waveform(known[str(path)].clip or "") for path in self.files]

    def _store(self) -> ProjectStore:
        return Store(self.folder).project(1)


@dataclass
class Script(Importing):
    """What a script does: soundfile reads, torchaudio resamples, numpy saves, one file after another."""

    def run(self) -> None:
        import soundfile
        import torch
        from torchaudio.functional import resample

        self.folder.mkdir(parents=True)
        for number, path in enumerate(self.files):
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            mono = torch.from_numpy(samples.mean(axis=1))
            np.save(self.folder / f"{number}.npy", resample(mono, rate, SAMPLE_RATE).numpy())

    def outcome(self, returned: Any) -> list[NDArray[np.float32]]:  # noqa: ARG002
        return [np.load(self.folder / f"{number}.npy") for number in range(len(self.files))]


def run(files: Sequence[Path], folder: Path, runs: int) -> Table:
    """The same files."""
    contenders = [
        Contender(name=name, prepare=partial(kind, files, folder / name))
        for name, kind in {"Aftertone": Ours, "soundfile and torchaudio": Script}.items()
    ]
    results = compete(contenders, runs)
    peer, seconds = results[1], sum(len(samples) for samples in results[1].outcome) / SAMPLE_RATE
    return Table(
        title="Import",
        about=f"{len(files)} files, {seconds:.0f} s of audio, from the disk to decoded clips on it. "
        "Aftertone decodes on all cores, each file in a process that it may take down, and keeps a hash of each clip. "
        "It scales down a clip beyond full scale, which the script keeps as it is; that reads one file after another.",
        columns=("s", "times as fast", "audio s/s", "samples differ by"),
        rows={
            result.name: (
                f"{result.median:.2f}",
                ratio(peer, result),
                f"{seconds / result.median:.0f}",
                f"{_difference(peer, result):.5f}",
            )
            for result in results
        },
        results=results,
    )


def _difference(one: Result, other: Result) -> float:
    pairs = zip(one.outcome, other.outcome, strict=True)
    return max(float(np.abs(np.clip(first, -1, 1) - second).max()) for first, second in pairs)
