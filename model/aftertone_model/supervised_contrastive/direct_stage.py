"""Direct fine-tuning, which the paper compares its two stages with (FT, section 4.2)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.features import extract
from aftertone_model.data.clips import Clip
from aftertone_model.labels import LabelSchema
from aftertone_model.runtime import Runtime
from aftertone_model.supervised_contrastive.batches import contextualised, cropped_batch
from aftertone_model.supervised_contrastive.config import DirectStage
from aftertone_model.supervised_contrastive.pooling import PooledClassifier, SelfAttentionPooling


def train_directly(
    backbone: Backbone,
    schema: LabelSchema,
    clips: Sequence[Clip],
    labels: NDArray[np.floating],
    config: DirectStage,
    runtime: Runtime,
) -> PooledClassifier:
    """Train transformer, in place, and a pooled classifier on labelled clips; CNN and projection stay as they are.

    Args:
        backbone: on the runtime's device; in eval mode afterwards.
        labels: (N, C) soft labels, N > 0.
    """
    rng, transformer = np.random.default_rng(runtime.seed), backbone.body.encoder
    targets = torch.from_numpy(labels.astype(np.float32)).to(runtime.device)
    weights = torch.ones(len(schema.classes), device=runtime.device)
    cnn = extract(backbone, clips, runtime)
    backbone.model.requires_grad_(False)
    transformer.requires_grad_(True)
    devices = [runtime.device] if runtime.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):  # transformers' dropout draws from the global generator
        torch.manual_seed(runtime.seed)
        pooling = SelfAttentionPooling(backbone.config.hidden_size)
        model = PooledClassifier(pooling, config.hidden, len(schema.classes)).to(runtime.device)
        optimizer = torch.optim.Adam(
            [
                {"params": list(model.parameters()), "lr": config.learning_rate},
                {"params": list(transformer.parameters()), "lr": config.learning_rate * config.transformer_share},
            ]
        )
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, config.slowed_every, config.slowed_to)
        for epoch in range(config.epochs):
            transformer.train()
            for rows in np.array_split(rng.permutation(len(clips)), -(-len(clips) // config.batch_size)):
                chosen = [clips[row] for row in rows]
                frames, lengths = cropped_batch(backbone, cnn, chosen, config.crop_seconds, runtime, rng)
                logits = model(contextualised(backbone, frames, lengths), lengths)
                loss = schema.loss(logits, targets[torch.from_numpy(rows)], weights)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            schedule.step()
            runtime.progress("fine-tune directly", epoch + 1, config.epochs)
    backbone.model.eval().requires_grad_(True)
    return model.eval()
