"""The loop that both stages share: batches of clips, Adam, and which weights learn."""

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aftertone_model.backbones.features import extract
from aftertone_model.data.batches import pad
from aftertone_model.data.clips import SAMPLE_RATE, Clip
from aftertone_model.runtime import Runtime
from aftertone_model.two_stage_adapters.config import StageTraining
from aftertone_model.two_stage_adapters.model import MultiTaskModel, Outputs

log = logging.getLogger(__name__)

MAX_GRADIENT = 1.0  # norm that gradients are clipped to

Loss = Callable[[NDArray[np.int64], Outputs, Tensor], Tensor]
"""() of a batch: rows of the training clips (B,), what the model makes of them, and their lengths (B,) in frames."""


class StageTrainer:
    """Trains a model, in place."""

    def __init__(self, model: MultiTaskModel, clips: Sequence[Clip], config: StageTraining, runtime: Runtime) -> None:
        """
        Args:
            model: on the runtime's device.
            clips: to learn from, at least one.
        """
        self.model, self.clips, self.config, self.runtime = model, clips, config, runtime
        self.rng = np.random.default_rng(runtime.seed)
        self.skipped = 0  # updates whose gradient was not a number
        self.cnn = extract(model.backbone, clips, runtime)
        self.longest = int(config.crop_seconds * SAMPLE_RATE / model.backbone.hop)  # frames

    def frame_counts(self) -> list[int]:
        """Of each clip, uncut."""
        return [len(self.runtime.pool.frames(self.cnn, clip)) for clip in self.clips]

    def train(self, loss: Loss, stage: str) -> tuple[float, ...]:
        """Train, and leave everything in eval mode; returns the mean loss of each epoch."""
        parameters = self._trainable()
        optimizer = torch.optim.Adam(parameters, lr=self.config.learning_rate)
        losses: list[float] = []
        devices = [self.runtime.device] if self.runtime.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):  # transformers' dropout draws from the global generator
            torch.manual_seed(self.runtime.seed)
            done, batches = 0, self.config.epochs * self._batches_per_epoch
            for _ in range(self.config.epochs):
                self._train_mode()
                found: list[Tensor] = []
                for rows in self._batches():
                    outputs, lengths = self._run(rows)
                    batch_loss = loss(rows, outputs, lengths)
                    optimizer.zero_grad(set_to_none=True)
                    batch_loss.backward()
                    if torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT).isfinite():
                        optimizer.step()
                        found.append(batch_loss.detach())
                    else:
                        self.skipped += 1
                    done += 1
                    self.runtime.progress(stage, done, batches)
                losses.append(float(torch.stack(found).mean()) if found else float("nan"))
        if self.skipped:
            log.warning(
                "%d updates were skipped, since their gradient was not a number", self.skipped,
                extra={"action": "updates_skipped"},
            )  # fmt: skip
        self.model.backbone.model.eval().requires_grad_(True)
        self.model.heads.eval()
        return tuple(losses)

    def _batches(self) -> Iterator[NDArray[np.int64]]:
        """Rows of each batch of an epoch, in an order that is drawn anew; each is about as large as the others."""
        order = self.rng.permutation(len(self.clips))
        yield from np.array_split(order, self._batches_per_epoch)

    @property
    def _batches_per_epoch(self) -> int:
        return -(-len(self.clips) // self.config.batch_size)

    def _run(self, rows: NDArray[np.int64]) -> tuple[Outputs, Tensor]:
        frames, lengths = pad([self._cropped(self.clips[row]) for row in rows])
        return self.model(frames.to(self.runtime.device), lengths), lengths

    def _cropped(self, clip: Clip) -> NDArray[np.float16]:
        frames = self.runtime.pool.frames(self.cnn, clip)
        start = int(self.rng.integers(max(len(frames) - self.longest, 0) + 1))
        return frames[start : start + self.longest]

    def _trainable(self) -> list[torch.nn.Parameter]:
        """Heads and adapters, or heads and the whole transformer; all else stops asking for gradients. The CNN never
        learns: "all parameters", the paper says, "of the Transformer"."""
        body = self.model.backbone.body
        self.model.backbone.model.requires_grad_(False)
        found = list(self.model.heads.parameters())
        if self.config.tuning == "all":
            found += [*body.feature_projection.parameters(), *body.encoder.parameters()]
        else:
            assert self.model.adapters is not None
            found += self.model.adapters.parameters()
        for parameter in found:
            parameter.requires_grad_(True)
        return found

    def _train_mode(self) -> None:
        """The transformer's dropout applies in both tunings, as it does where LoRA is trained elsewhere."""
        body = self.model.backbone.body
        body.encoder.train()
        if self.config.tuning == "all":
            body.feature_projection.train()
        self.model.heads.train()
