"""One model in pre-training: how it takes a step, is validated, and is put into a checkpoint."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Wav2Vec2ForPreTraining

from aftertone_model.data.audio import SAMPLE_RATE
from aftertone_model.data.batches import length_batches
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.pretraining.codebook import fit_codebooks
from aftertone_model.pretraining.contrastive import (
    Codes,
    Outcome,
    clip_generator,
    diversity_loss,
    draw_masks,
    masked_forward,
    masked_mean,
    perplexity,
    quantise,
    reconstruction_loss,
)
from aftertone_model.pretraining.distillation import Distillation
from aftertone_model.pretraining.frame_sources import CachedFrames, LearntFrames, Stretch, aligned
from aftertone_model.pretraining.teacher import HOP, Teacher
from aftertone_model.progress import Progress, silent

CLIP_NORM = 1.0  # of the gradient; healthy norms are 0.5 to 2
SETTLING_CLIPS = 100  # whose frames a fresh quantiser, and a teacher's scale, are fitted to
WARM_UP = 0.1  # share of the steps over which the learning rate rises


@dataclass(frozen=True, kw_only=True)
class TaptSettings:
    """Hyper-parameters of pre-training. The defaults continue a published checkpoint: TAPT."""

    learning_rate: float = 1e-4  # peak of AdamW, the paper's; rises for a tenth of the steps, then falls to zero
    weight_decay: float = 0.01  # on matrices
    mask_ratio: float = 0.15  # share of frames masked, in (0, 1); the paper's. wav2vec 2.0 was made with about 0.5
    mask_span: int = 10  # frames per masked span, 20 ms each; wav2vec 2.0's
    diversity_weight: float = 0.1  # of the diversity term; wav2vec 2.0's
    warm_temperature: float = 1.0  # of the Gumbel softmax at the first step; falls geometrically to
    cold_temperature: float = 0.5  # this at the last step
    fresh_codes: bool = False  # the quantiser is freshly drawn: fit it to the frames before the first step
    train_cnn: bool = False  # the CNN learns too; in TAPT it never does
    distil_weight: float = 1.0  # of the distillation loss, where there is a teacher
    batch_seconds: float = 200.0  # audio per step, padding included
    crop_seconds: float = 10.0  # longer clips are cut to a random stretch of this length at each step
    passes: float = 10.0  # how often the pool's audio is gone through
    max_steps: int = 20_000  # however large the pool is; as many as the authors' code takes
    validations: int = 20  # over the run, beside the one before it
    patience: int = 4  # validations without a better loss before the run stops


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Losses on the held-out clips, in eval mode, under masks and negatives that are the same every time."""

    contrastive: float  # nats per masked frame, AFTER eq. 1
    reconstruction: float  # nats per masked frame, AFTER eq. 2
    perplexity: float  # of the codes of all frames, as a share of its maximum, in (0, 1]
    distillation: float | None  # mean squared error, in units of the targets' variance; None without a teacher


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one optimiser step saw."""

    loss: Tensor  # () float32 on the device, AFTER eq. 3 plus diversity, in nats per masked frame
    masked_frames: int
    seen_frames: int


class Pretrainer:
    """A copy of a backbone in training, with a head that predicts code words for AFTER eq. 2 and is dropped at the end.

    What a step draws (crops, masks, negatives, dropout, code noise) depends on the seed and the step's number alone, so
    the number is all there is to know about the generators when a run is resumed.
    """

    def __init__(
        self,
        pool: Pool,
        training: Sequence[Clip],
        held_out: Sequence[Clip],
        backbone: Wav2Vec2ForPreTraining,
        settings: TaptSettings,
        seed: int,
        device: torch.device,
        teacher: Teacher | None = None,
        progress: Progress = silent,
    ) -> None:
        self._pool = pool
        self._training, self._held_out = training, held_out
        self._settings, self._seed, self._device = settings, seed, device
        self.backbone = copy.deepcopy(backbone).to(device)  # pyright: ignore[reportArgumentType] -- transformers' wrapper
        if not settings.train_cnn:
            self.backbone.freeze_feature_encoder()
        self._source = (LearntFrames if settings.train_cnn else CachedFrames)(pool, self.backbone)
        self._source.prepare([*training, *held_out], progress)
        self._teacher = teacher
        self._ratio = max(HOP // self._source.hop, 1) if teacher else 1  # frames per embedding of the teacher
        self._codebooks = backbone.quantizer.num_groups, backbone.quantizer.num_vars  # G, E
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._head = nn.Linear(backbone.config.hidden_size, self._codebooks[0] * self._codebooks[1])
            self._distillation = self._new_distillation(progress)
        modules = {"backbone": self.backbone, "head": self._head}
        if self._distillation is not None:
            modules["distillation"] = self._distillation
        self._model = nn.ModuleDict(modules).to(device)
        weights = list(self.weights().values())
        groups = [
            {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
        seconds = [min(clip.seconds, settings.crop_seconds) for clip in training]
        self._seconds = np.array(seconds)
        self.steps = min(settings.max_steps, max(1, round(settings.passes * sum(seconds) / settings.batch_seconds)))

    def schedule(self) -> Iterator[NDArray[np.int64]]:
        """The batches of step 0, 1, 2, ... as indices of training clips, pass after pass without end."""
        number = 0
        while True:
            yield from length_batches(
                self._seconds, self._settings.batch_seconds, np.random.default_rng([self._seed, 1, number])
            )
            number += 1

    def settle(self) -> None:
        """Before the first step: fit a freshly drawn quantiser to the frames, where the settings ask for it."""
        if self._settings.fresh_codes:
            stretches = self._source.whole(self._drawn())
            with torch.no_grad():
                read = [self._source.read([stretch], self._device)[0][0] for stretch in stretches]  # each (T, C)
                latents = self.backbone.wav2vec2.feature_projection.layer_norm(torch.cat(read).float())  # (M, C)
            fit_codebooks(self.backbone.quantizer, latents, np.random.default_rng([self._seed, 3]))

    def step(self, number: int, batch: NDArray[np.int64]) -> Step:
        """Take optimiser step `number`, 0 for the first, on the training clips at the indices `batch`."""
        settings, rng = self._settings, np.random.default_rng([self._seed, 2, number])
        stretches = [self._crop(self._training[i], rng) for i in batch]
        lengths = torch.tensor([stretch.frames for stretch in stretches])
        masks = draw_masks(lengths, [rng] * len(batch), ratio=settings.mask_ratio, span=settings.mask_span)
        masked_frames = int(masks.valid.sum())
        masks = masks.to(self._device)
        self._model.train()
        self._anneal(number)
        with torch.random.fork_rng():
            torch.manual_seed(int(rng.integers(2**63)))
            frames, _ = self._source.read(stretches, self._device)
            outcome = masked_forward(self.backbone, frames, lengths, masks)
        loss = (
            masked_mean(outcome.contrastive, masks.valid)
            + masked_mean(self._reconstruction(outcome), masks.valid)
            + settings.diversity_weight * diversity_loss(outcome.codes.soft, masks.valid)
        )
        distilled = self._distilled(outcome, lengths, stretches)
        if distilled is not None:
            loss = loss + settings.distil_weight * distilled
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights().values(), CLIP_NORM)
        self._optimizer.step()
        return Step(loss=loss.detach(), masked_frames=masked_frames, seen_frames=int(lengths.sum()))

    @torch.no_grad()
    def validate(self, progress: Progress) -> Validation:
        """Losses on the held-out clips."""
        settings = self._settings
        self._model.eval()
        sums = torch.zeros(3, dtype=torch.float64)  # contrastive, reconstruction, masked frames
        usage = torch.zeros(self._codebooks, dtype=torch.float64)  # (G, E)
        errors: list[Tensor] = []
        batches = length_batches([clip.seconds for clip in self._held_out], settings.batch_seconds)
        for done, batch in enumerate(batches):
            progress("validate", done, len(batches))
            clips = [self._held_out[i] for i in batch]
            stretches = self._source.whole(clips)
            frames, lengths = self._source.read(stretches, self._device)
            rngs = [clip_generator(self._seed, clip.id) for clip in clips]
            masks = draw_masks(lengths, rngs, ratio=settings.mask_ratio, span=settings.mask_span).to(self._device)
            outcome = masked_forward(self.backbone, frames, lengths, masks)
            rebuilt = self._reconstruction(outcome) * masks.valid
            sums += torch.stack([outcome.contrastive.sum(), rebuilt.sum(), masks.valid.sum()]).cpu()
            distilled = self._distilled(outcome, lengths, stretches)
            if distilled is not None:
                errors.append(distilled * len(clips) / len(self._held_out))
            heard = torch.arange(frames.shape[1]) < lengths[:, None]  # (B, T)
            usage += self._all_codes(frames).soft[heard.to(self._device)].sum(0).cpu()
        contrastive, reconstruction = (sums[:2] / sums[2]).tolist()
        share = float(perplexity(usage)) / usage.numel()
        return Validation(
            contrastive=contrastive,
            reconstruction=reconstruction,
            perplexity=share,
            distillation=torch.stack(errors).sum().item() if errors else None,
        )

    def weights(self) -> dict[str, nn.Parameter]:
        """The weights in training, by name."""
        return {name: weight for name, weight in self._model.named_parameters() if weight.requires_grad}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, weight in self.weights().items():
                weight.copy_(weights[name])

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """The optimiser's moments and step counts, by weight and kind."""
        states = self._optimizer.state_dict()["state"]
        return {f"{index}.{kind}": value for index, state in states.items() for kind, value in state.items()}

    def load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            index, kind = name.split(".")
            states.setdefault(int(index), {})[kind] = value
        self._optimizer.load_state_dict(self._optimizer.state_dict() | {"state": states})

    def _drawn(self) -> list[Clip]:
        """Training clips that stand for all."""
        rng = np.random.default_rng([self._seed, 3])
        return [self._training[i] for i in rng.permutation(len(self._training))[:SETTLING_CLIPS]]

    def _crop(self, clip: Clip, rng: np.random.Generator) -> Stretch:
        longest = round(self._settings.crop_seconds * SAMPLE_RATE / self._source.hop)
        length = self._source.length(clip)
        start = rng.integers(max(length - longest, 0) // self._ratio + 1) * self._ratio
        return Stretch(clip, int(start), min(length - int(start), longest))

    def _new_distillation(self, progress: Progress) -> Distillation | None:
        """The second loss, where there is a teacher: its embeddings of all clips are computed and kept first."""
        if self._teacher is None:
            return None
        self._pool.keep(self._teacher.fingerprint, self._teacher.embed, [*self._training, *self._held_out], progress)
        examples = [self._pool.frames(self._teacher.fingerprint, clip.id) for clip in self._drawn()]
        return Distillation(self.backbone.config.hidden_size, self._ratio, examples)

    def _distilled(self, outcome: Outcome, lengths: Tensor, stretches: Sequence[Stretch]) -> Tensor | None:
        if self._teacher is None or self._distillation is None:
            return None
        name = self._teacher.fingerprint
        targets = [aligned(self._pool.frames(name, s.clip.id), s, self._ratio) for s in stretches]
        return self._distillation(outcome.hidden, lengths, targets)

    def _anneal(self, number: int) -> None:
        """Set what changes with the step: the learning rate and the temperature of the codes."""
        settings, warm_up = self._settings, WARM_UP * self.steps
        rate = min((number + 1) / warm_up, (self.steps - number) / (self.steps - warm_up), 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate
        cooling = settings.cold_temperature / settings.warm_temperature
        self.backbone.quantizer.temperature = settings.warm_temperature * cooling ** (number / self.steps)

    def _reconstruction(self, outcome: Outcome) -> Tensor:
        """AFTER eq. 2 at each masked frame: (B, N)."""
        logits = self._head(outcome.context).unflatten(-1, self._codebooks)  # (B, N, G, E)
        return reconstruction_loss(logits, outcome.codes.ids)

    def _all_codes(self, frames: Tensor) -> Codes:
        """The quantiser's choice at every frame (B, T, C): the masked alone are too few to tell how many codes live."""
        return quantise(self.backbone.quantizer, self.backbone.wav2vec2.feature_projection.layer_norm(frames.float()))
