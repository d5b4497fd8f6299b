"""Real clips and models, as every contender gets them: a folder of decoded clips, and a checkpoint."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.labels import SingleChoice
from benchmarks.tuning import read_clips

MINI, BASE, LARGE = "aftertone-mini", "wav2vec2-base", "wav2vec2-large"
SHAPES = {
    BASE: {},
    LARGE: {
        "hidden_size": 1_024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4_096,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "conv_bias": True,
    },
}
"""Fields in which the published models' configs differ from transformers' defaults."""
LONGEST = 10.0  # seconds; longer clips are left out, which no peer could take in a batch


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Labelled clips in a pool."""

    folder: Path  # of the pool
    clips: tuple[Clip, ...]
    emotions: tuple[str, ...]

    @property
    def schema(self) -> SingleChoice:
        return SingleChoice(classes=tuple(sorted(set(self.emotions))))

    @property
    def targets(self) -> NDArray[np.int64]:
        """(N,) class numbers."""
        return np.array([self.schema.classes.index(emotion) for emotion in self.emotions])

    @property
    def seconds(self) -> float:
        return sum(clip.seconds for clip in self.clips)

    def part(self, rows: NDArray[np.int64]) -> "Corpus":
        """Some of the clips, in the same pool."""
        clips, emotions = [self.clips[row] for row in rows], [self.emotions[row] for row in rows]
        return replace(self, clips=tuple(clips), emotions=tuple(emotions))

    def waveforms(self) -> list[NDArray[np.float32]]:
        pool = Pool(self.folder)
        return [pool.waveform(clip.id) for clip in self.clips]


def read_corpus(manifest: Path, clips: int, folder: Path) -> Corpus:
    """Clips drawn by chance, always the same."""
    chosen, emotions = read_clips(manifest, Pool(folder), LONGEST, clips)
    return Corpus(folder=folder, clips=tuple(chosen), emotions=tuple(emotions[clip.id] for clip in chosen))


def backbone(model: str) -> Backbone:
    """The bundled one, or one of a published shape with random weights."""
    if model == MINI:
        return load_backbone(MINI)
    torch.manual_seed(0)
    return Backbone(Wav2Vec2ForPreTraining(Wav2Vec2Config(**SHAPES[model])).eval())


def checkpoint(model: str, folder: Path) -> Path:
    """The backbone, saved for whoever pre-trains it."""
    backbone(model).save(folder / model)
    return folder / model


def transformer_flops(body: Any, frames: float) -> float:
    """Of one pass over so many frames: two per weight of the transformer's matrices and frame (attention's products of
    frames with each other, some percent at these lengths, are left out)."""
    parts = [body.feature_projection.projection, *body.encoder.layers]
    weights = sum(p.numel() for part in parts for p in part.parameters() if p.ndim > 1)
    positional = sum(p.numel() for p in body.encoder.pos_conv_embed.parameters() if p.ndim == 3)
    return 2.0 * frames * (weights + positional)
