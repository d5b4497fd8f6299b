"""One attempt at training a classifier: its data, its parameters, and the loop over both."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Wav2Vec2ForSequenceClassification

from aftertone_model.backbones.backbone import fingerprint
from aftertone_model.backbones.precision import transformer_in_bf16
from aftertone_model.classification.classifier import clip_features, embed, standardise
from aftertone_model.classification.layer_cache import LayerCache
from aftertone_model.classification.loss import class_weights, cross_entropy
from aftertone_model.classification.scoring import extract_features
from aftertone_model.config import TrainingConfig, Tuning
from aftertone_model.data.audio import SAMPLE_RATE
from aftertone_model.data.batches import length_batches, pad
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.evaluation.test_split import assign_test_split
from aftertone_model.progress import Progress

MAX_GRADIENT = 1.0  # norm that gradients are clipped to


class Trainer:
    """Trains the classifier that it is given, in place."""

    def __init__(
        self,
        classifier: Wav2Vec2ForSequenceClassification,
        pool: Pool,
        clips: Sequence[Clip],
        labels: NDArray[np.floating],
        config: TrainingConfig,
        depth: Tuning,
        seed: int,
        cache: LayerCache | None,
        progress: Progress,
    ) -> None:
        self.classifier, self.pool, self.clips, self.config, self.depth = classifier, pool, clips, config, depth
        self.seed, self.progress = seed, progress
        self.cache = cache if depth is Tuning.PROBE else None
        self.rng = np.random.default_rng(seed)
        self.device = classifier.device
        self.targets = torch.from_numpy(labels.astype(np.float32)).to(self.device)  # (N, C)
        self.weights = torch.from_numpy(class_weights(labels, config.max_class_weight)).to(self.device)  # (C,)
        self.cnn = fingerprint(classifier)
        self.learning, self.validating = _split(clips, config.validation, seed)
        self.features: Tensor | None = None  # (N, L, D) of a probe, whose transformer stands still
        self.updates = 0
        self.losses: list[float] = []
        self.validation_losses: list[float] = []

    def train(self, *, fresh: bool) -> None:
        """Train in place; `fresh` says that the head has random weights."""
        if self.depth is Tuning.PROBE or (fresh and self.config.standardise):
            features = self._features("features")
            if fresh and self.config.standardise:
                standardise(self.classifier, features[self.learning])
            self.features = features if self.depth is Tuning.PROBE else None
        groups = _trainable(self.classifier, self.depth, self.config)
        optimizer = torch.optim.AdamW(groups, weight_decay=self.config.weight_decay, fused=True)
        total = max(self.config.updates, self.config.epochs * len(self._batches()))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _schedule(total, self.config.warmup))
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):  # transformers' dropout draws from the global generator
            torch.manual_seed(self.seed)
            self._loop(optimizer, schedule, total)
        self.classifier.eval().requires_grad_(True)

    def _loop(self, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LambdaLR, total: int) -> None:
        best, best_loss, since = None, float("inf"), 0
        reported = time.monotonic()
        while self.updates < total:
            self._train_mode()
            epoch: list[Tensor] = []
            for rows in self._batches()[: total - self.updates]:
                loss = cross_entropy(self._logits(rows), self.targets[rows], self.weights)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], MAX_GRADIENT)
                optimizer.step()
                schedule.step()
                epoch.append(loss.detach())
                self.updates += 1
                if time.monotonic() - reported > 0.5:
                    self.progress("train", self.updates, total)
                    reported = time.monotonic()
            self.losses.append(float(torch.stack(epoch).mean()))  # the epoch's one wait for the GPU
            if len(self.validating) == 0:
                continue
            self.validation_losses.append(self._validation_loss())
            since += 1
            if self.validation_losses[-1] < best_loss:
                best, best_loss, since = _trained_weights(self.classifier), self.validation_losses[-1], 0
            if since >= self.config.patience:
                break
        if best is not None:
            self.classifier.load_state_dict(best, strict=False)
        self.progress("train", total, total)

    @torch.no_grad()
    def predict(self) -> NDArray[np.intp]:
        """(N,) class of every labelled clip; all 0 where the logits are not finite."""
        logits = self._head(self._features("check")).cpu().numpy()
        return np.where(np.isfinite(logits).all(axis=1), logits.argmax(axis=1), 0)

    @torch.no_grad()
    def _validation_loss(self) -> float:
        rows = self.validating
        features = self._features("validate", rows)
        return float(cross_entropy(self._head(features), self.targets[rows], self.weights))

    def _features(self, stage: str, rows: NDArray[np.int64] | None = None) -> Tensor:
        """(N, L, D) of the given clips, or of all, without dropout."""
        rows = np.arange(len(self.clips), dtype=np.int64) if rows is None else rows
        if self.features is not None:
            return self.features[torch.from_numpy(rows)]
        clips = [self.clips[int(row)] for row in rows]
        return extract_features(
            self.classifier, self.pool, clips, cache=self.cache, progress=self.progress, stage=stage
        )

    def _head(self, features: Tensor) -> Tensor:
        return self.classifier.classifier(embed(self.classifier, features))

    def _batches(self) -> list[NDArray[np.int64]]:
        """Rows of each update of one epoch; a probe sees all clips in each."""
        if self.depth is Tuning.PROBE:
            return [self.learning]
        seconds = [min(self.clips[row].seconds, self.config.crop_seconds) for row in self.learning]
        return [self.learning[batch] for batch in length_batches(seconds, self.config.batch_seconds, self.rng)]

    def _logits(self, rows: NDArray[np.int64]) -> Tensor:
        """(B, C) in training mode: cropped, with dropout on the embedding."""
        if self.features is not None:
            features = self.features[torch.from_numpy(rows)]
        else:
            frames, lengths = pad([self._cropped(self.clips[row]) for row in rows])
            bf16 = transformer_in_bf16(self.classifier.config, self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                features = clip_features(self.classifier, frames.to(self.device), lengths)  # (B, L, D) float32
        embedded = torch.nn.functional.dropout(embed(self.classifier, features), self.config.dropout)
        return self.classifier.classifier(embedded)

    def _cropped(self, clip: Clip) -> NDArray[np.float16]:
        frames = self.pool.frames(self.cnn, clip.id)
        most = int(self.config.crop_seconds * SAMPLE_RATE / self.classifier.config.inputs_to_logits_ratio)
        start = int(self.rng.integers(max(len(frames) - most, 0) + 1))
        return frames[start : start + most]

    def _train_mode(self) -> None:
        """Dropout where weights are trained; what stands still computes as it does in scoring."""
        self.classifier.eval()
        if self.depth is Tuning.FULL:
            self.classifier.train()
        elif self.depth is Tuning.LAYERS:
            self.classifier.wav2vec2.encoder.layers[-self.config.last_layers :].train()


def _split(clips: Sequence[Clip], share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to learn from and rows to validate on; speaker-disjoint where speakers are known."""
    held = assign_test_split(clips, {}, share=share, seed=seed) if share else {}
    validating = np.array([held.get(clip.id, False) for clip in clips])
    if not validating.any() or validating.all():
        return np.arange(len(clips)), np.empty(0, np.int64)
    return np.flatnonzero(~validating), np.flatnonzero(validating)


def _trainable(classifier: Wav2Vec2ForSequenceClassification, depth: Tuning, config: TrainingConfig) -> list[dict]:
    """The optimiser's parameter groups; everything else stops asking for gradients."""
    classifier.requires_grad_(False)
    head: list[torch.nn.Parameter] = [*classifier.classifier.parameters()]
    if classifier.config.use_weighted_layer_sum:
        head.append(classifier.layer_weights)
    body: list[torch.nn.Parameter] = []
    encoder = classifier.wav2vec2.encoder
    if not (depth is Tuning.PROBE and config.standardise):
        body += classifier.projector.parameters()
    if depth is Tuning.LAYERS:
        body += encoder.layers[-config.last_layers :].parameters()
    if depth is Tuning.FULL:
        body += [*classifier.wav2vec2.feature_projection.parameters(), *encoder.parameters()]
    for parameter in head + body:
        parameter.requires_grad_(True)
    probe = depth is Tuning.PROBE
    return [
        {"params": head, "lr": config.probe_rate if probe else config.head_rate},
        {"params": body, "lr": config.probe_rate if probe else config.encoder_rate},
    ]


def _schedule(total: int, warmup: float) -> Callable[[int], float]:
    """Rates as shares of their peak: up over the warm-up, then down to 0 in a line; constant without a warm-up."""
    rise = max(1, round(total * warmup))
    if not warmup:
        return lambda _: 1.0
    return lambda step: (step + 1) / rise if step < rise else (total - step) / max(1, total - rise)


def _trained_weights(classifier: Wav2Vec2ForSequenceClassification) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in classifier.named_parameters() if p.requires_grad}
