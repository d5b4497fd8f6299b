"""Stage 1: the transformer learns emotions and transcripts (the paper's section 2.3, equation 4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.data.clips import Clip
from aftertone_model.errors import MissingAttributeError
from aftertone_model.labels import LabelSchema
from aftertone_model.runtime import Runtime
from aftertone_model.two_stage_adapters.adapters import insert_adapters
from aftertone_model.two_stage_adapters.config import TwoStageConfig
from aftertone_model.two_stage_adapters.losses import transcript_loss, weighted
from aftertone_model.two_stage_adapters.model import HeadShape, MultiTaskModel, Outputs, new_heads
from aftertone_model.two_stage_adapters.stage_training import StageTrainer
from aftertone_model.two_stage_adapters.transcripts import Targets, Vocabulary, targets_of


@dataclass(frozen=True, kw_only=True)
class TranscriptRun:
    """What stage 1 leaves, and how it went."""

    model: MultiTaskModel
    losses: tuple[float, ...]  # mean of each epoch
    targets: Targets  # what CTC had to learn from


def train_transcripts(
    backbone: Backbone,
    schema: LabelSchema,
    clips: Sequence[Clip],
    labels: NDArray[np.floating],
    config: TwoStageConfig,
    runtime: Runtime,
) -> TranscriptRun:
    """L = (1 − α) · CE(emotion) + α · CTC(transcript), on labelled clips; those without a transcript learn emotion.

    Args:
        backbone: not changed.
        clips: with the attribute `transcript` where it is known.
        labels: (N, C) soft labels, N > 0.

    Raises:
        MissingAttributeError: no clip has a transcript that it has room for, though α isn't 0.
    """
    stage = config.transcripts
    vocabulary = Vocabulary.of(clips) if stage.transcript_weight else Vocabulary("")
    changed = backbone.copy().to(runtime.device)
    adapters = insert_adapters(changed, config.adapters, runtime.seed) if stage.tuning == "adapters" else None
    shape = HeadShape(
        width=backbone.config.hidden_size,
        feature_width=config.feature_width,
        classes=len(schema.classes),
        attributes={},
        bottleneck=0 if adapters is None else config.adapters.bottleneck,
        symbols=len(vocabulary),
    )
    model = MultiTaskModel(
        backbone=changed,
        adapters=adapters,
        heads=new_heads(shape, runtime.seed).to(runtime.device),
        schema=schema,
        vocabulary=vocabulary,
    )
    trainer = StageTrainer(model, clips, stage, runtime)
    targets = targets_of(clips, trainer.frame_counts(), vocabulary, trainer.longest)
    if stage.transcript_weight and all(symbols is None for symbols in targets.symbols):
        raise MissingAttributeError(
            f"None of the {len(clips)} labelled clips has a transcript to learn from: {targets.missing} have none, "
            f"{targets.crowded} have more characters than frames, {targets.cropped} are longer than "
            f"{stage.crop_seconds:g} s. Give clips the attribute `transcript`, or set transcript_weight to 0."
        )
    truth = torch.from_numpy(labels.astype(np.float32)).to(runtime.device)
    even = torch.ones(len(schema.classes), device=runtime.device)

    def loss(rows: NDArray[np.int64], outputs: Outputs, lengths: Tensor) -> Tensor:
        emotion = schema.loss(outputs.emotion, truth[torch.from_numpy(rows)], even)
        assert outputs.symbols is not None
        spoken = transcript_loss(outputs.symbols, lengths, [targets.symbols[row] for row in rows])
        return weighted(emotion, [(stage.transcript_weight, spoken)])

    return TranscriptRun(model=model, losses=trainer.train(loss, "learn transcripts"), targets=targets)
