"""`aftertone predict`: what an exported model says of new audio files."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aftertone.errors import StoreError
from aftertone.outputs.table import Row
from aftertone_model.data.audio import at_sample_rate, open_audio
from aftertone_model.data.channels import Channel
from aftertone_model.data.manifest import read_manifest
from aftertone_model.data.recording import read_recording
from aftertone_model.errors import AudioError
from aftertone_model.export.emotions import FEWEST, Emotions, shown
from aftertone_model.progress import Progress, silent

MANIFEST = ".csv"


@dataclass(frozen=True, kw_only=True)
class NewFile:
    """An audio file that somebody wants judged."""

    path: Path
    speaker: str | None = None  # clips of one are normalised together; None: judged by itself


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What became of all files."""

    rows: tuple[Row, ...]  # of those that could be used, in their order
    left_out: tuple[str, ...]  # a line for each of the others: its path and why
    alone: tuple[str, ...]  # speakers with too few clips to be normalised together


def find_files(given: Sequence[Path], *, one_voice: bool = False) -> list[NewFile]:
    """The audio files that paths stand for: files, folders with all that lies below, and manifests (CSV).

    Args:
        one_voice: all of them are of one person, whatever a manifest says.

    Raises:
        ManifestError: a folder holds no audio, or a manifest can't be used.
    """
    found: list[NewFile] = []
    for path in given:
        if path.is_dir() or path.suffix.lower() == MANIFEST:
            found += [NewFile(path=row.path, speaker=row.speaker) for row in read_manifest(path)]
        else:
            found.append(NewFile(path=path))
    return [NewFile(path=one.path, speaker="") for one in found] if one_voice else found


def judge_files(
    folder: Path,
    files: Sequence[NewFile],
    *,
    max_seconds: float = 60.0,
    channel: Channel = "mix",
    progress: Progress = silent,
) -> Judged:
    """Judge files with the model of an exported folder. A file that can't be used costs that file.

    Args:
        folder: what `aftertone export` wrote.
        max_seconds: the longest clip taken.
        channel: what is heard of files with several channels.

    Raises:
        StoreError: `folder` holds no exported model.
    """
    if not (folder / "config.json").is_file():
        raise StoreError(f"{folder} holds no exported model (no config.json). `aftertone export PROJECT` writes one.")
    model = Emotions(folder)
    rows: dict[int, Row] = {}
    left_out: dict[int, str] = {}
    done = 0
    for group in _by_voice(files):
        features = {}
        for number in group:
            progress("judge", done, len(files))
            done += 1
            if not files[number].path.exists():
                left_out[number] = f"{shown(files[number].path)}: there is no such file."
                continue
            try:
                features[number] = model.features([_heard(files[number].path, max_seconds, channel)])
            except AudioError as error:
                left_out[number] = f"{shown(files[number].path)}: {error}"
        rows |= _judge(model, files, features)
    progress("judge", done, len(files))
    voices = Counter(files[number].speaker for number in rows if files[number].speaker is not None)
    return Judged(
        rows=tuple(rows[number] for number in sorted(rows)),
        left_out=tuple(left_out[number] for number in sorted(left_out)),
        alone=tuple(str(name) for name, count in voices.items() if count < FEWEST),
    )


def _heard(path: Path, max_seconds: float, channel: Channel) -> NDArray[np.float32]:
    """(S,) at 16 kHz."""
    with open_audio(path) as file:
        recording = read_recording(file, max_seconds=max_seconds, channel=channel)
    return at_sample_rate(recording.samples, recording.rate)


def _by_voice(files: Sequence[NewFile]) -> Iterator[list[int]]:
    """Numbers of the files of each known voice, and of each file of an unknown one by itself."""
    voices: dict[str, list[int]] = defaultdict(list)
    for number, file in enumerate(files):
        if file.speaker is None:
            yield [number]
        else:
            voices[file.speaker].append(number)
    yield from voices.values()


def _judge(model: Emotions, files: Sequence[NewFile], features: dict[int, Any]) -> dict[int, Row]:
    if not features:
        return {}
    import torch

    known = files[next(iter(features))].speaker is not None
    judge: Callable[[Any], Any] = model.one_voice if known else model.strangers
    judged = judge(torch.cat(list(features.values()))).tolist()
    return {
        number: {
            "file": shown(files[number].path),
            "speaker": files[number].speaker or None,
            **dict(zip(model.columns, map(_as_number, model.row(row)), strict=True)),
        }
        for number, row in zip(features, judged, strict=True)
    }


def _as_number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell
