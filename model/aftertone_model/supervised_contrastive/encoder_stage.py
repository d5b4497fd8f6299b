"""Stage 1: a transformer learns, from corpora with labels, to tell emotions apart whatever the corpus."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.features import extract
from aftertone_model.data.clips import Clip
from aftertone_model.runtime import Runtime
from aftertone_model.supervised_contrastive.batches import contextualised, cropped_batch
from aftertone_model.supervised_contrastive.config import EncoderStage
from aftertone_model.supervised_contrastive.losses import cosine_margin, info_nce
from aftertone_model.supervised_contrastive.pooling import SelfAttentionPooling
from aftertone_model.supervised_contrastive.sampler import PairSampler


class EncoderTrainer:
    """Trains a backbone's transformer, in place, and a pooling above it."""

    def __init__(
        self,
        backbone: Backbone,
        clips: Sequence[Clip],
        emotions: Sequence[str],
        corpora: Sequence[str],
        config: EncoderStage,
        runtime: Runtime,
    ) -> None:
        """
        Args:
            backbone: on the runtime's device.
            clips: of the source corpora; none of the target's test speakers.
            emotions: of each clip.
            corpora: of each clip.

        Raises:
            CorpusError: there are no two corpora with two emotions each.
        """
        self.backbone, self.clips, self.config, self.runtime = backbone, clips, config, runtime
        self.sampler = PairSampler(emotions, corpora, config.batch_size, runtime.seed)
        self.rng = np.random.default_rng(runtime.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(runtime.seed)
            self.pooling = SelfAttentionPooling(backbone.config.hidden_size).to(runtime.device)
        self.cnn = extract(backbone, clips, runtime)
        self.losses: list[float] = []  # mean of each epoch

    def train(self) -> SelfAttentionPooling:
        """Train; the backbone is in eval mode afterwards."""
        transformer = self.backbone.body.encoder
        self.backbone.model.requires_grad_(False)
        transformer.requires_grad_(True)
        rate = self.config.learning_rate
        optimizer = torch.optim.Adam(
            [
                {"params": list(self.pooling.parameters()), "lr": rate},
                {"params": list(transformer.parameters()), "lr": rate * self.config.transformer_share},
            ]
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: halving(epoch, self.config))
        done, batches = 0, self.config.epochs * self.sampler.batches
        devices = [self.runtime.device] if self.runtime.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):  # transformers' dropout draws from the global generator
            torch.manual_seed(self.runtime.seed)
            for _ in range(self.config.epochs):
                transformer.train()
                found: list[Tensor] = []
                for batch in self.sampler.epoch():
                    loss = self._loss(batch.positives, batch.negatives)
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    optimizer.step()
                    found.append(loss.detach())
                    done += 1
                    self.runtime.progress("contrast corpora", done, batches)
                schedule.step()
                self.losses.append(float(torch.stack(found).mean()))
        self.backbone.model.eval().requires_grad_(True)
        return self.pooling.eval()

    def _loss(self, positives: NDArray[np.int64], negatives: NDArray[np.int64]) -> Tensor:
        """() equation 5: the sum of both losses. Positives come corpus by corpus, so that the cosine margin loss pairs
        the corpora."""
        rows = np.concatenate([positives, negatives])
        clips = [self.clips[row] for row in rows]
        frames, lengths = cropped_batch(
            self.backbone, self.cnn, clips, self.config.crop_seconds, self.runtime, self.rng
        )
        pooled = self.pooling(contextualised(self.backbone, frames, lengths), lengths)  # (B, D)
        alike, different = pooled[: len(positives)], pooled[len(positives) :]
        contrast = info_nce(alike, different, self.config.temperature)
        return contrast + cosine_margin(alike, different, self.config.cosine_weight, self.config.margin)


def halving(epoch: int, config: EncoderStage) -> float:
    """The rate of an epoch (the first is 0) as a share of the first: halved at `halved_from` and every few epochs."""
    return 0.5 ** max(0, (epoch - config.halved_from) // config.halved_every + 1)
