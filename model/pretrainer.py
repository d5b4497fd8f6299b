"""One model in task-adaptive pre-training: how it takes a step, is validated, and is put into a checkpoint."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Wav2Vec2ForPreTraining

from model.backbone import fingerprint
from model.batches import length_batches, pad
from model.clips import Clip, Progress
from model.codebook import fit_codebooks
from model.contrastive import (
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
from model.pool import Pool

FRAMES_PER_SECOND = 50
CLIP_NORM = 1.0  # of the gradient; healthy norms are 0.5 to 2
SETTLING_CLIPS = 100  # whose frames a fresh quantiser is fitted to
WARM_UP = 0.1  # share of the steps over which the learning rate rises


@dataclass(frozen=True, kw_only=True)
class TaptSettings:
    """Hyper-parameters of TAPT. The defaults continue a published checkpoint."""

    learning_rate: float = 1e-4  # peak of AdamW, the paper's; rises for a tenth of the steps, then falls to zero
    weight_decay: float = 0.01  # on matrices
    mask_ratio: float = 0.15  # share of frames masked, in (0, 1); the paper's. wav2vec 2.0 was made with about 0.5
    mask_span: int = 10  # frames per masked span, 20 ms each; wav2vec 2.0's
    diversity_weight: float = 0.1  # of the diversity term; wav2vec 2.0's
    warm_temperature: float = 1.0  # of the Gumbel softmax at the first step; falls geometrically to
    cold_temperature: float = 0.5  # this at the last step
    fresh_codes: bool = False  # the quantiser is freshly drawn: fit it to the frames before the first step
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
    ) -> None:
        self._pool, self._cnn = pool, fingerprint(backbone)
        self._training, self._held_out = training, held_out
        self._settings, self._seed, self._device = settings, seed, device
        self.backbone = copy.deepcopy(backbone)
        self.backbone.freeze_feature_encoder()
        self._codebooks = backbone.quantizer.num_groups, backbone.quantizer.num_vars  # G, E
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._head = nn.Linear(backbone.config.hidden_size, self._codebooks[0] * self._codebooks[1])
        self._model = nn.ModuleDict({"backbone": self.backbone, "head": self._head}).to(device)
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
            rng = np.random.default_rng([self._seed, 3])
            drawn = rng.permutation(len(self._training))[:SETTLING_CLIPS]
            frames = torch.from_numpy(np.concatenate([self._frames(self._training[i]) for i in drawn]))  # (M, C)
            norm = self.backbone.wav2vec2.feature_projection.layer_norm
            fit_codebooks(self.backbone.quantizer, norm(frames.float().to(self._device)).detach(), rng)

    def step(self, number: int, batch: NDArray[np.int64]) -> Step:
        """Take optimiser step `number`, 0 for the first, on the training clips at the indices `batch`."""
        settings, rng = self._settings, np.random.default_rng([self._seed, 2, number])
        frames, lengths = pad([self._crop(self._frames(self._training[i]), rng) for i in batch])
        masks = draw_masks(lengths, [rng] * len(batch), ratio=settings.mask_ratio, span=settings.mask_span)
        masked_frames = int(masks.valid.sum())
        masks = masks.to(self._device)
        self._model.train()
        self._anneal(number)
        with torch.random.fork_rng():
            torch.manual_seed(int(rng.integers(2**63)))
            outcome = masked_forward(self.backbone, frames.to(self._device, non_blocking=True), lengths, masks)
        loss = (
            masked_mean(outcome.contrastive, masks.valid)
            + masked_mean(self._reconstruction(outcome), masks.valid)
            + settings.diversity_weight * diversity_loss(outcome.codes.soft, masks.valid)
        )
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
        batches = length_batches([clip.seconds for clip in self._held_out], settings.batch_seconds)
        for done, batch in enumerate(batches):
            progress("validate", done, len(batches))
            clips = [self._held_out[i] for i in batch]
            frames, lengths = pad([self._frames(clip) for clip in clips])
            rngs = [clip_generator(self._seed, clip.id) for clip in clips]
            masks = draw_masks(lengths, rngs, ratio=settings.mask_ratio, span=settings.mask_span).to(self._device)
            frames = frames.to(self._device)
            outcome = masked_forward(self.backbone, frames, lengths, masks)
            rebuilt = self._reconstruction(outcome) * masks.valid
            sums += torch.stack([outcome.contrastive.sum(), rebuilt.sum(), masks.valid.sum()]).cpu()
            heard = torch.arange(frames.shape[1]) < lengths[:, None]  # (B, T)
            usage += self._all_codes(frames).soft[heard.to(self._device)].sum(0).cpu()
        contrastive, reconstruction = (sums[:2] / sums[2]).tolist()
        share = float(perplexity(usage)) / usage.numel()
        return Validation(contrastive=contrastive, reconstruction=reconstruction, perplexity=share)

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

    def _frames(self, clip: Clip) -> NDArray[np.float16]:
        return self._pool.frames(self._cnn, clip.id)

    def _crop(self, frames: NDArray[np.float16], rng: np.random.Generator) -> NDArray[np.float16]:
        longest = round(self._settings.crop_seconds * FRAMES_PER_SECOND)
        start = rng.integers(max(len(frames) - longest, 0) + 1)
        return frames[start : start + longest]

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
