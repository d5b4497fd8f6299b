"""Stage 2: adapters learn emotions and other attributes (the paper's sections 2.3 and 2.4, equations 5 to 7)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aftertone_model.data.clips import Clip
from aftertone_model.errors import MissingAttributeError
from aftertone_model.runtime import Runtime
from aftertone_model.two_stage_adapters.adapters import insert_adapters
from aftertone_model.two_stage_adapters.config import TwoStageConfig
from aftertone_model.two_stage_adapters.losses import (
    UNKNOWN,
    attribute_loss,
    contrast_cosine,
    contrast_norm,
    weighted,
)
from aftertone_model.two_stage_adapters.model import HeadShape, MultiTaskModel, Outputs, new_heads, values_of
from aftertone_model.two_stage_adapters.stage_training import StageTrainer


@dataclass(frozen=True, kw_only=True)
class AttributeRun:
    """What stage 2 leaves, and how it went."""

    model: MultiTaskModel
    losses: tuple[float, ...]  # mean of each epoch


def train_attributes(
    first: MultiTaskModel,
    clips: Sequence[Clip],
    labels: NDArray[np.floating],
    config: TwoStageConfig,
    runtime: Runtime,
) -> AttributeRun:
    """L = (1 − Σ β) · CE(emotion) + Σ β · CE(attribute) + SCL, on labelled clips; a clip counts for what it has.

    Args:
        first: what stage 1 left, on the runtime's device; not changed. Its emotion head goes on learning, and so do its
            adapters, if it has some.
        labels: (N, C) soft labels of the same classes, N > 0.

    Raises:
        MissingAttributeError: an attribute has fewer than two values among the clips.
    """
    stage = config.attributes
    values = {name: values_of([clip.attributes for clip in clips], name) for name in stage.attributes}
    for name, found in values.items():
        if len(found) < 2:
            raise MissingAttributeError(
                f"The {len(clips)} labelled clips have {len(found)} values of {name} ({', '.join(found) or 'none'}), "
                f"and two are needed to learn it. Give clips the attribute {name}, or leave it out of `attributes`."
            )
    changed = first.copy()
    adapters = changed.adapters
    if stage.tuning == "adapters" and adapters is None:
        adapters = insert_adapters(changed.backbone, config.adapters, runtime.seed)
    shape = HeadShape(
        width=first.backbone.config.hidden_size,
        feature_width=config.feature_width,
        classes=len(first.schema.classes),
        attributes=values,
        bottleneck=config.adapters.bottleneck if stage.tuning == "adapters" else 0,
        fusion=stage.fusion == "concatenation",
    )
    heads = new_heads(shape, runtime.seed).to(runtime.device)
    heads.go_on_from(first.heads)
    model = MultiTaskModel(backbone=changed.backbone, adapters=adapters, heads=heads, schema=first.schema)
    device = runtime.device
    truth = torch.from_numpy(labels.astype(np.float32)).to(device)
    even = torch.ones(len(first.schema.classes), device=device)
    targets = {name: attribute_targets(clips, name, found).to(device) for name, found in values.items()}

    def loss(rows: NDArray[np.int64], outputs: Outputs, _lengths: Tensor) -> Tensor:
        batch = torch.from_numpy(rows)
        emotion = first.schema.loss(outputs.emotion, truth[batch], even)
        others = [
            (weight, attribute_loss(logits, targets[name][batch]))
            for (name, weight), logits in zip(stage.attributes.items(), outputs.attributes, strict=True)
        ]
        total = weighted(emotion, others)
        if stage.contrast == "none":
            return total
        contrast = contrast_norm if stage.contrast == "norm" else contrast_cosine
        return total + stage.contrast_weight * contrast(outputs.features)

    trainer = StageTrainer(model, clips, stage, runtime)
    return AttributeRun(model=model, losses=trainer.train(loss, "learn attributes"))


def attribute_targets(clips: Sequence[Clip], name: str, values: Sequence[str]) -> Tensor:
    """(N,) the number of each clip's value, or `UNKNOWN` where it has none, or one that isn't among them."""
    number = {value: row for row, value in enumerate(values)}
    return torch.tensor([number.get(clip.attributes.get(name, ""), UNKNOWN) for clip in clips])
