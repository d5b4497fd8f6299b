"""HuBERT's objective: predict the cluster of each masked frame, for families that have no quantiser.

Units are k-means clusters of a middle layer of the backbone as it is before pre-training, found once.

Source: Hsu et al. 2021 (arXiv 2106.07447), §II-A and §II-B, with the masked frames alone in the loss (α = 1).
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.digest import digest
from aftertone_model.config import PretrainingConfig
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.pretraining.codebook import k_means
from aftertone_model.pretraining.objective import WARM_UP, MaskedBatch, Objective, Term
from aftertone_model.runtime import Runtime


class MaskedUnits(Objective):
    """Cross-entropy of the units of the masked frames."""

    judge: ClassVar = "units"

    def __init__(self, backbone: Backbone, config: PretrainingConfig) -> None:
        """
        Args:
            backbone: the one in training; its units are those of its weights now.
        """
        super().__init__()
        self._start = [backbone.copy()]  # in a list, so that its weights aren't trained
        self._count = config.units
        self._name, self._pool = "", None
        self.head = nn.Linear(backbone.config.hidden_size, config.units)
        self.fresh, self._warming = not config.train_cnn, False

    def prepare(self, clips: Sequence[Clip], examples: Sequence[Clip], runtime: Runtime) -> None:
        """Cluster the frames of the examples and keep the unit of every frame of all clips in the pool."""
        start, self._pool = self._start.pop(), runtime.pool
        cnn = start.cnn()

        @torch.no_grad()
        def represent(waveform: NDArray[np.float32]) -> Tensor:
            frames = torch.from_numpy(start.encode(waveform, cnn)).to(start.device)[None]  # (1, T, C)
            layers = start.contextualise_by_layer(frames, torch.tensor([frames.shape[1]]))[1]
            return layers[len(layers) // 2][0].float()  # (T, D)

        points = torch.cat([represent(runtime.pool.waveform(clip.file)) for clip in examples])  # (M, D)
        rng = np.random.default_rng([runtime.seed, 3])
        drawn = rng.choice(len(points), self._count, replace=self._count > len(points))
        centres = k_means(points, points[torch.from_numpy(drawn).to(points.device)])  # (E, D)

        def units(waveform: NDArray[np.float32]) -> NDArray[np.int16]:
            return torch.cdist(represent(waveform), centres).argmin(1).cpu().numpy().astype(np.int16)  # (T,)

        self._name = f"units-{digest({'centres': centres, **start.body.state_dict()})}"
        runtime.pool.keep(self._name, units, clips, runtime.progress)

    def anneal(self, done: float) -> None:
        """At first the new head learns alone, or its noise would reach the body."""
        self._warming = self.fresh and done < WARM_UP

    def forward(self, batch: MaskedBatch) -> dict[str, Term]:
        units = torch.zeros(batch.frames.shape[:2], dtype=torch.int64)  # (B, T)
        for row, stretch in zip(units, batch.stretches, strict=True):
            row[: stretch.frames] = torch.from_numpy(
                self._units(stretch.clip)[stretch.start :][: stretch.frames].copy()
            )
        targets = units.to(batch.frames.device).gather(1, batch.masks.positions)  # (B, N)
        context = batch.context.detach() if self._warming and self.training else batch.context
        logits = self.head(context).float()  # (B, N, E)
        losses = functional.cross_entropy(logits.movedim(-1, 1), targets, reduction="none")  # (B, N)
        frames = int(batch.masks.valid.sum())
        return {"units": Term((losses * batch.masks.valid).sum() / frames, size=frames)}

    def _units(self, clip: Clip) -> NDArray[np.int16]:
        assert isinstance(self._pool, Pool), "prepare() comes first"
        return self._pool.frames(self._name, clip).astype(np.int16)
