"""One stage of training a classifier: its data, its parameters, and the loop over both."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aftertone_model.backbones.activations import keep_all, training_portion
from aftertone_model.backbones.encoder import Encoder
from aftertone_model.backbones.families import SpeechClassifier
from aftertone_model.backbones.features import extract
from aftertone_model.backbones.precision import fastest
from aftertone_model.classification.classifier import clip_features, embed, standardise
from aftertone_model.classification.layer_cache import LayerCache
from aftertone_model.classification.lora import add_lora, lora_weights, merge_lora
from aftertone_model.classification.objective import AttributeObjective, Batch, LabelObjective, Objective
from aftertone_model.classification.scoring import extract_features
from aftertone_model.config import Stage, TrainingConfig, Tuning
from aftertone_model.data.batches import length_batches, pad
from aftertone_model.data.clips import SAMPLE_RATE, Clip
from aftertone_model.evaluation.test_split import assign_test_split
from aftertone_model.labels import LabelSchema
from aftertone_model.memory import Parts, Portion
from aftertone_model.runtime import Runtime
from aftertone_model.team import present_team

MAX_GRADIENT = 1.0  # norm that gradients are clipped to


class Trainer:
    """Trains the classifier that it is given, in place."""

    def __init__(
        self,
        classifier: SpeechClassifier,
        schema: LabelSchema,
        clips: Sequence[Clip],
        labels: NDArray[np.floating],
        config: TrainingConfig,
        stage: Stage,
        runtime: Runtime,
        cache: LayerCache | None = None,
    ) -> None:
        """
        Args:
            classifier: on the runtime's device.
            labels: (N, C) of the clips.
            cache: the layer means of the classifier's backbone, which a probe reads.
        """
        self.classifier, self.clips, self.config, self.runtime = classifier, clips, config, runtime
        self.tuning, self.probes = stage.tuning, stage.tuning is Tuning.PROBE
        self.encoder = Encoder(classifier)
        self.cache = cache if self.probes else None
        self.team = present_team()
        self.rng = np.random.default_rng(runtime.seed)
        self.objective = LabelObjective(schema, labels, config.max_class_weight).to(runtime.device)
        width = classifier.config.classifier_proj_size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(runtime.seed)
            self.auxiliary: list[tuple[float, Objective]] = [
                (weight, AttributeObjective(name, clips, width).to(runtime.device))
                for name, weight in stage.attributes.items()
            ]
        self.cnn = extract(self.encoder, clips, runtime)
        self._seconds = [min(clip.seconds, config.crop_seconds) for clip in clips]
        if self.probes:
            self._portion = Portion(float("inf"), "training")
        else:
            self._portion = training_portion(self.encoder, max(self._seconds), "training")
        self.learning, self.validating = _split(clips, config.validation, runtime.seed)
        self.features: Tensor | None = None  # (N, L, 4D) of a probe, whose transformer is frozen
        self.updates, self.skipped = 0, 0  # skipped: those whose gradient was not a number
        self.losses: list[float] = []
        self.validation_losses: list[float] = []

    def train(self, *, head_is_random: bool) -> None:
        """Train in place."""
        if self.probes or (head_is_random and self.config.standardise):
            features = self._features("features")
            if head_is_random and self.config.standardise:
                standardise(self.classifier, features[self.learning])
            self.features = features if self.probes else None
        devices = [self.runtime.device] if self.runtime.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):  # transformers' dropout draws from the global generator
            torch.manual_seed(self.runtime.seed)
            if self.tuning is Tuning.LORA:
                add_lora(self.encoder, self.config.lora_rank)
            optimizer = torch.optim.AdamW(self._trainable(), weight_decay=self.config.weight_decay, fused=True)
            total = max(self.config.updates, self.config.epochs * len(self._batches()))
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _schedule(total, self.config.warmup))
            self._loop(optimizer, schedule, total)
        if self.tuning is Tuning.LORA:
            merge_lora(self.encoder)
        keep_all(self.encoder)
        self.classifier.eval().requires_grad_(True)

    def _loop(self, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LambdaLR, total: int) -> None:
        best, best_loss, since = None, float("inf"), 0
        while self.updates < total:
            self._train_mode()
            epoch: list[Tensor] = []
            for rows in self._batches()[: total - self.updates]:
                weights = [p for g in optimizer.param_groups for p in g["params"]]
                loss = self.team.add_up(weights, self._gradients(rows, optimizer))
                self.updates += 1
                if torch.nn.utils.clip_grad_norm_(weights, MAX_GRADIENT).isfinite():
                    optimizer.step()
                    schedule.step()
                    epoch.append(loss)
                else:
                    self.skipped += 1
                self.runtime.progress("train", self.updates, total)
            self.losses.append(float(torch.stack(epoch).mean()) if epoch else float("nan"))
            if len(self.validating) == 0:
                continue
            self.validation_losses.append(self._validation_loss())
            since += 1
            if self.validation_losses[-1] < best_loss:
                best, best_loss, since = _trained_weights(self.classifier), self.validation_losses[-1], 0
            if since > 0 and since >= self.config.patience:
                break
        if best is not None:
            self.classifier.load_state_dict(best, strict=False)
        self.runtime.progress("train", total, total)

    @torch.no_grad()
    def logits(self) -> NDArray[np.float32]:
        """(N, C) of every labelled clip, without dropout; all 0 where they are not finite."""
        found = self._head(self._features("check")).cpu().numpy()
        return np.where(np.isfinite(found).all(axis=1, keepdims=True), found, 0)

    @torch.no_grad()
    def _validation_loss(self) -> float:
        self.classifier.eval()
        return float(self.objective.loss(self.validating, self._head(self._features("validate", self.validating))))

    def _features(self, stage: str, rows: NDArray[np.int64] | None = None) -> Tensor:
        """(N, L, 4D) of the given clips, or of all, without dropout."""
        rows = np.arange(len(self.clips), dtype=np.int64) if rows is None else rows
        if self.features is not None:
            return self.features[torch.from_numpy(rows)]
        clips = [self.clips[int(row)] for row in rows]
        return extract_features(self.classifier, clips, self.runtime, cache=self.cache, stage=stage)

    def _head(self, features: Tensor) -> Tensor:
        return self.classifier.classifier(embed(self.classifier, features))

    def _batches(self) -> list[NDArray[np.int64]]:
        """Rows of each update of one epoch; a probe sees all clips in each."""
        if self.probes:
            return [self.learning]
        seconds = [self._seconds[row] for row in self.learning]
        return [self.learning[batch] for batch in length_batches(seconds, self.config.batch_seconds, self.rng)]

    def _gradients(self, rows: NDArray[np.int64], optimizer: torch.optim.Optimizer) -> Tensor:
        """() loss of an update's clips, of which a team's process computes its own. Their gradient is summed up over
        parts where they don't fit into memory."""
        crops = [] if self.probes else [self._cropped(self.clips[row]) for row in rows]  # of all: teams draw alike
        own = self.team.own(np.arange(len(rows)))

        def gradients(parts: Parts) -> Tensor:
            optimizer.zero_grad(set_to_none=True)
            losses = [torch.zeros((), device=self.runtime.device)]
            for part in parts:
                places = own[part]
                cropped = [crops[place] for place in places] if crops else None
                loss = len(places) / len(rows) * self._loss(rows[places], cropped)
                loss.backward()
                losses.append(loss.detach())
            return torch.stack(losses).sum()

        return self._portion.run([self._seconds[row] for row in rows[own]], gradients)

    def _loss(self, rows: NDArray[np.int64], cropped: Sequence[NDArray[np.float16]] | None) -> Tensor:
        """() of a batch in training mode, with dropout on the embedding.

        Args:
            cropped: (T, C) CNN frames of each clip; None of a probe, which has its features.
        """
        if cropped is None:
            assert self.features is not None
            features = self.features[torch.from_numpy(rows)]
        else:
            frames, lengths = pad(cropped)
            device = self.runtime.device
            with fastest(self.classifier.config, device):
                features = clip_features(self.classifier, frames.to(device), lengths)  # (B, L, 4D) float32
        embedded = nn.functional.dropout(embed(self.classifier, features), self.config.dropout)
        batch = Batch(rows=rows, embeddings=embedded, logits=self.classifier.classifier(embedded))
        loss = self.objective(batch)
        for weight, objective in self.auxiliary:
            loss = loss + weight * objective(batch)
        return loss

    def _cropped(self, clip: Clip) -> NDArray[np.float16]:
        frames = self.runtime.pool.frames(self.cnn, clip)
        most = int(self.config.crop_seconds * SAMPLE_RATE / self.encoder.hop)
        start = int(self.rng.integers(max(len(frames) - most, 0) + 1))
        return frames[start : start + most]

    def _train_mode(self) -> None:
        """Dropout where weights are trained; what is frozen computes as it does in scoring."""
        self.classifier.eval()
        if self.tuning in (Tuning.FULL, Tuning.LORA):
            self.classifier.train()
        elif self.tuning is Tuning.LAST_LAYERS:
            self.encoder.body.encoder.layers[-self.config.last_layers :].train()

    def _trainable(self) -> list[dict]:
        """The optimiser's parameter groups; everything else stops asking for gradients."""
        classifier, config, transformer = self.classifier, self.config, self.encoder.body.encoder
        lora = lora_weights(classifier)
        classifier.requires_grad_(False)
        head: list[nn.Parameter] = [*classifier.classifier.parameters()]
        head += [parameter for _, objective in self.auxiliary for parameter in objective.parameters()]
        if classifier.config.use_weighted_layer_sum:
            head.append(classifier.layer_weights)
        body: list[nn.Parameter] = lora
        if not (self.probes and config.standardise):
            body += classifier.projector.parameters()
        if self.tuning is Tuning.LAST_LAYERS:
            body += transformer.layers[-config.last_layers :].parameters()
        if self.tuning is Tuning.FULL:
            body += [*self.encoder.body.feature_projection.parameters(), *transformer.parameters()]
        for parameter in head + body:
            parameter.requires_grad_(True)
        return [
            {"params": head, "lr": config.probe_rate if self.probes else config.head_rate},
            {"params": body, "lr": config.probe_rate if self.probes else config.encoder_rate},
        ]


def _split(clips: Sequence[Clip], share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to learn from and rows to validate on; speaker-disjoint where speakers are known."""
    held = assign_test_split(clips, {}, share=share, seed=seed) if share else {}
    validating = np.array([held.get(clip.id, False) for clip in clips])
    if not validating.any() or validating.all():
        return np.arange(len(clips)), np.empty(0, np.int64)
    return np.flatnonzero(~validating), np.flatnonzero(validating)


def _schedule(total: int, warmup: float) -> Callable[[int], float]:
    """Rates as shares of their peak: up over the warm-up, then down to 0 in a line; constant without a warm-up."""
    rise = max(1, round(total * warmup))
    if not warmup:
        return lambda _: 1.0
    return lambda step: (step + 1) / rise if step < rise else (total - step) / max(1, total - rise)


def _trained_weights(classifier: SpeechClassifier) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in classifier.named_parameters() if p.requires_grad}
