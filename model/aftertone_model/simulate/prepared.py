"""What all cells of a simulation share: decoded clips, hidden labels, folds, adapted backbones."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.backbones.digest import digest
from aftertone_model.classification.classifier import new_classifier
from aftertone_model.classification.layer_cache import LayerCache
from aftertone_model.classification.scoring import extract_features
from aftertone_model.config import TrainingConfig
from aftertone_model.data.clips import Clip
from aftertone_model.data.corpus import decode_corpus
from aftertone_model.data.manifest import ManifestError
from aftertone_model.data.pool import Pool
from aftertone_model.labels import SingleChoice
from aftertone_model.learner import Learner
from aftertone_model.progress import Progress, hide_library_bars
from aftertone_model.runtime import Runtime, device_named
from aftertone_model.simulate.grid import Cell, config_of
from aftertone_model.simulate.labelled_corpus import LabelledCorpus
from aftertone_model.simulate.prevalence import Prevalence, check_prevalence, thinned


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The corpus as every process needs it, small enough to be sent; audio and features are in the pool on disk."""

    folder: Path
    backbone: str
    backbone_key: str  # names its weights
    classes: tuple[str, ...]
    clips: tuple[Clip, ...]
    labels: tuple[int, ...]  # class of each clip
    folds: tuple[tuple[int, ...], ...]  # clips tested on in each fold
    refused: tuple[str, ...]  # files left out, and why
    prevalence: Prevalence = ()  # of the pool to learn from
    left_out: tuple[str, ...] = ()  # what each fold leaves out, where that has a name

    @property
    def pool(self) -> Pool:
        return Pool(self.folder / "pool")

    @cached_property  # every cell's name needs it, and a corpus may have 100,000 clips
    def corpus_key(self) -> str:
        """Names clips, labels, speakers, other attributes and folds."""
        told = (
            [[clip.id, clip.speaker, sorted(clip.attributes.items())] for clip in self.clips],
            self.labels,
            self.folds,
            self.classes,
        )
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    def sides(self, fold: int, seed: int = 0) -> tuple[list[Clip], list[Clip]]:
        """Clips to train on, and clips of other speakers to test on, which are as the corpus has them.

        Args:
            seed: of the draw where the pool is thinned to a prevalence.
        """
        tested = set(self.folds[fold])
        rows = np.array([row for row in range(len(self.clips)) if row not in tested])
        pool = thinned(np.array(self.labels)[rows], self.classes, self.prevalence, np.random.default_rng([seed, fold]))
        held_out = sorted((self.clips[row] for row in tested), key=lambda clip: clip.id)
        return [self.clips[row] for row in rows[pool]], held_out

    def one_hot(self) -> dict[str, NDArray[np.float64]]:
        """The hidden labels: clip id -> (C,)."""
        eye = np.eye(len(self.classes))
        return {clip.id: eye[label] for clip, label in zip(self.clips, self.labels, strict=True)}

    def adapted(self, fold: int, seed: int, config: TrainingConfig) -> Path:
        """Where TAPT on the fold's training clips keeps its backbone; presets with the same TAPT share it,
        and so do seeds where the pool isn't thinned."""
        told = json.dumps([None if config.tapt is None else asdict(config.tapt), self.prevalence])
        key = hashlib.sha256(told.encode()).hexdigest()[:8]
        name = f"fold-{fold}-seed-{seed}" if self.prevalence else f"fold-{fold}"
        return self.folder / "adapted" / f"{self.backbone_key}-{self.corpus_key}-{key}" / name

    def learner(self, cell: Cell, device: str) -> Learner:
        """The very learner that the backend drives, with the cell's config and the fold's adapted backbone."""
        config = config_of(cell.preset)
        name = str(self.adapted(cell.fold, cell.seed, config)) if cell.tapt else self.backbone
        return Learner(load_backbone(name), self.schema, self.runtime(device, cell.seed), config)

    @property
    def schema(self) -> SingleChoice:
        """One emotion per clip."""
        return SingleChoice(classes=self.classes)

    def runtime(self, device: str, seed: int = 0) -> Runtime:
        """On the simulation's pool, without progress."""
        return Runtime(pool=self.pool, device=device_named(device), seed=seed)


def decode(
    corpus: LabelledCorpus,
    folder: Path,
    backbone: str,
    folds: int,
    progress: Progress,
    prevalence: Prevalence = (),
) -> Prepared:
    """Decode the corpus; files that can't be used, and the second of two alike, are left out and named."""
    check_prevalence(prevalence, corpus.classes)
    pool = Pool(folder / "pool")
    pool.folder.mkdir(parents=True, exist_ok=True)
    decoded = decode_corpus(pool, [row.path for row in corpus.rows], progress=progress)
    first: dict[str, int] = {}
    refused = list(decoded.refused)
    for number, ids in enumerate(decoded.clips):
        for id in ids:
            if id in first:
                twin = corpus.rows[first[id]].path
                refused.append(f"{corpus.rows[number].path}: the same audio as {twin}")
            first.setdefault(id, number)
    rows = [corpus.rows[number] for number in first.values()]
    used = LabelledCorpus(rows=tuple(rows), classes=corpus.classes, leave_out=corpus.leave_out)
    if len(rows) < 2 * folds:
        raise ManifestError(f"Only {len(rows)} clips of the corpus can be used. " + " ".join(refused[:3]))
    clips = [pool.clip(id) for id in first]
    return Prepared(
        folder=folder,
        backbone=backbone,
        backbone_key=digest(load_backbone(backbone).model.state_dict()),
        classes=corpus.classes,
        clips=tuple(
            Clip(id=clip.id, seconds=clip.seconds, speaker=row.speaker, attributes=row.attributes)
            for clip, row in zip(clips, rows, strict=True)
        ),
        labels=tuple(corpus.classes.index(row.emotion or "") for row in rows),
        folds=tuple(tuple(map(int, test)) for test in used.folds(folds)),
        refused=tuple(refused),
        prevalence=prevalence,
        left_out=tuple(used.left_out),
    )


def extract(prepared: Prepared, part: Sequence[int], device: str) -> None:
    """CNN frames of some clips, and what the unadapted transformer makes of each."""
    _keep_layer_means(prepared, prepared.backbone, [prepared.clips[row] for row in part], device)


def adapt(prepared: Prepared, cell: Cell, device: str) -> float:
    """TAPT on the training clips, without labels; the wall-clock seconds it took when it was done."""
    training, _ = prepared.sides(cell.fold, cell.seed)
    config = config_of(cell.preset)
    folder = prepared.adapted(cell.fold, cell.seed, config)
    learner = Learner(load_backbone(prepared.backbone), prepared.schema, prepared.runtime(device), config)
    adaptation = learner.adapt(training, folder)
    _keep_layer_means(prepared, str(folder), prepared.clips, device)
    return adaptation.seconds


def _keep_layer_means(prepared: Prepared, backbone: str, clips: Sequence[Clip], device: str) -> None:
    """Now, once, instead of in each of the cells that run side by side."""
    loaded = load_backbone(backbone)
    classifier = new_classifier(loaded, prepared.schema, mix_layers=True, seed=0)
    cache = LayerCache(prepared.pool.folder, loaded)
    extract_features(classifier, clips, prepared.runtime(device), cache=cache)


def one_thread() -> None:
    """How a process among as many as there are cores computes fastest, and quietly."""
    hide_library_bars()
    torch.set_num_threads(1)
