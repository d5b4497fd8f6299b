"""Pre-training a backbone from random weights on unlabelled speech: TAPT's own code, with the CNN learning too."""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torchaudio.functional import speed
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

from model.adaptation import Adaptation, read_adaptation
from model.audio import SAMPLE_RATE, decode
from model.backbone import load_backbone
from model.clips import Clip, Progress, silent
from model.errors import AudioError, BackboneError
from model.manifest import read_manifest
from model.mini import draw_mini
from model.pool import Pool
from model.pretrainer import TaptSettings
from model.tapt import adapt
from model.teacher import load_teacher

log = logging.getLogger(__name__)

SETTINGS = TaptSettings(
    learning_rate=1e-3,
    mask_span=3,
    fresh_codes=True,
    warm_temperature=2.0,
    train_cnn=True,
    diversity_weight=3.0,
    distil_weight=30.0,
    batch_seconds=32.0,
    crop_seconds=4.0,
    max_steps=1_000_000,
    validations=40,
    patience=40,
)
"""For a backbone of some million parameters and some hours of speech."""
BLOCK = 64  # files decoded at a time


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The clips of a corpus, at each of its speeds."""

    clips: tuple[Clip, ...]
    refused: tuple[str, ...]  # a line per file that can't be used: its path and why


def pretrain(
    manifest: Path,
    folder: Path,
    *,
    work: Path,
    config: Path | None = None,
    teacher: Path | None = None,
    settings: TaptSettings = SETTINGS,
    speeds: Sequence[float] = (1.0,),
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = silent,
) -> Adaptation:
    """Pre-train a wav2vec 2.0 and save it in float16, with its record, as `folder`.

    Audio is decoded into `work` once and read from there a batch at a time. A run that was killed goes on from its last
    validation when it is called again with the same arguments.

    Args:
        manifest: a manifest.csv or a folder of audio files.
        folder: complete or absent; where it is complete its record is returned as it stands.
        work: decoded clips, the teacher's embeddings and checkpoints are kept here; may be deleted afterwards.
        config: a config.json of a `Wav2Vec2Config`; aftertone-mini's shape by default.
        teacher: BYOL-S weights, see `model.teacher`.
        speeds: each clip is taken at each of these speeds, which moves its pitch too (Ko et al. 2015); 1.0 is as it is.

    Raises:
        ManifestError, TeacherError, BackboneError: the message says what to change.
    """
    found = read_adaptation(folder)
    if found is not None:
        return found
    backbone = draw_mini(seed) if config is None else _drawn(config, seed)
    taught = None if teacher is None else load_teacher(teacher)
    pool = Pool(work / "pool")
    corpus = _decoded(pool, manifest, speeds, work, progress)
    for line in corpus.refused:
        log.warning("Left out: %s", line)
    adaptation = adapt(
        pool,
        corpus.clips,
        backbone,
        settings,
        work / "pretrained",
        teacher=taught,
        seed=seed,
        device=device,
        progress=progress,
    )
    part = folder.with_name(f"{folder.name}.part")
    load_backbone(str(work / "pretrained")).half().save_pretrained(part)
    adaptation.write(part)
    part.replace(folder)
    return adaptation


def _drawn(config: Path, seed: int) -> Wav2Vec2ForPreTraining:
    try:
        shape = Wav2Vec2Config.from_json_file(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Wav2Vec2ForPreTraining(shape).eval()
    except (OSError, ValueError, TypeError) as error:
        raise BackboneError(
            f"{config} is no config.json of a wav2vec 2.0 ({str(error).splitlines()[0]}). Take one that "
            "Wav2Vec2Config.save_pretrained wrote."
        ) from error


def _decoded(pool: Pool, manifest: Path, speeds: Sequence[float], work: Path, progress: Progress) -> Corpus:
    """Decode what isn't in the pool yet, on all cores; a note of what was done spares a second run."""
    rows = read_manifest(manifest)
    done = work / "decoded.json"
    wanted = [[str(row.path), list(speeds)] for row in rows]
    if done.is_file():
        record = json.loads(done.read_text(encoding="utf-8"))
        if record["wanted"] == wanted and all(id in pool for id in record["clips"]):
            return Corpus(clips=tuple(map(pool.clip, record["clips"])), refused=tuple(record["refused"]))
    clips: dict[str, Clip] = {}
    refused: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(rows), BLOCK):
            progress("decode", start, len(rows))
            for outcome in threads.map(lambda row: _at_speeds(row.path, speeds), rows[start : start + BLOCK]):
                if isinstance(outcome, str):
                    refused.append(outcome)
                    continue
                clips |= {clip.id: clip for clip in map(pool.add, outcome)}
    progress("decode", len(rows), len(rows))
    record = {"wanted": wanted, "clips": list(clips), "refused": refused}
    part = done.with_suffix(".part")
    part.write_text(json.dumps(record), encoding="utf-8")
    part.replace(done)
    return Corpus(clips=tuple(clips.values()), refused=tuple(refused))


def _at_speeds(path: Path, speeds: Sequence[float]) -> list[NDArray[np.float32]] | str:
    """The decoded file at each speed, or what is wrong with it."""
    try:
        waveform = decode(path)
    except AudioError as error:
        return f"{path}: {error}"
    return list(_versions(waveform, speeds))


def _versions(waveform: NDArray[np.float32], speeds: Sequence[float]) -> Iterator[NDArray[np.float32]]:
    for factor in speeds:
        yield waveform if factor == 1.0 else speed(torch.from_numpy(waveform), SAMPLE_RATE, factor)[0].numpy()
