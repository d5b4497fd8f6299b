"""One backbone in pre-training: how it takes a step, is validated, and is put into a checkpoint."""

import copy
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aftertone_model.backbones.activations import training_portion
from aftertone_model.backbones.backbone import Backbone
from aftertone_model.config import PretrainingConfig
from aftertone_model.data.batches import length_batches
from aftertone_model.data.clips import SAMPLE_RATE, Clip
from aftertone_model.memory import Parts, Portion
from aftertone_model.pretraining.contrastive import Contrastive, perplexity
from aftertone_model.pretraining.distillation import Distillation, frames_per_embedding
from aftertone_model.pretraining.frame_sources import CachedFrames, LearnedFrames, Stretch
from aftertone_model.pretraining.masked_units import MaskedUnits
from aftertone_model.pretraining.masking import Masks, clip_generator, draw_masks
from aftertone_model.pretraining.objective import WARM_UP, MaskedBatch, Objective, run_masked
from aftertone_model.pretraining.teachers.teacher import Teacher
from aftertone_model.runtime import Runtime
from aftertone_model.team import present_team

CLIP_NORM = 1.0  # of the gradient; healthy norms are 0.5 to 2
EXAMPLES = 100  # clips whose frames a fresh quantiser, units, and a teacher's scale, are fitted to

OBJECTIVES: dict[str, type[Contrastive] | type[MaskedUnits]] = {
    "contrastive": Contrastive,
    "masked-units": MaskedUnits,
}
"""By the name that a backbone's `Family` gives."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Losses on the held-out clips, in eval mode, under masks and negatives that are the same every time."""

    losses: dict[str, float]  # by the name of the term; of masked frames in nats per frame
    perplexity: float  # of the codes in use, as a share of its maximum, in (0, 1]; 1 where there are none


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What one optimiser step saw."""

    loss: Tensor  # () float32 on the device, the weighted sum of all terms
    taken: bool  # False: the gradient was not a number, and the weights stayed as they were
    masked_frames: int
    seen_frames: int


class Pretrainer:
    """A copy of a backbone in training, with its objectives' own weights, which are dropped at the end.

    What a step draws (crops, masks, negatives, dropout, code noise) depends on the seed and the step's number alone, so
    the number is all there is to know about the generators when a run is resumed.
    """

    def __init__(
        self,
        backbone: Backbone,
        training: Sequence[Clip],
        held_out: Sequence[Clip],
        config: PretrainingConfig,
        runtime: Runtime,
        teachers: Sequence[Teacher] = (),
    ) -> None:
        self._training, self._held_out, self._config, self._runtime = training, held_out, config, runtime
        self._seed, self._device, self._team = runtime.seed, runtime.device, present_team()
        self.backbone = backbone.copy().to(runtime.device)
        self.backbone.body.feature_extractor.requires_grad_(config.train_cnn)
        everything = [*training, *held_out]
        if config.train_cnn:
            self._source = LearnedFrames(self.backbone, runtime, config.noise)
        else:
            self._source = CachedFrames(self.backbone, everything, runtime)
        self._ratio = frames_per_embedding(backbone.hop, teachers)
        order = np.random.default_rng([self._seed, 3]).permutation(len(training))
        self._examples = [training[i] for i in order[:EXAMPLES]]  # stand for all
        with torch.random.fork_rng():
            torch.manual_seed(self._seed)
            objectives: list[Objective] = [OBJECTIVES[backbone.family.objective](self.backbone, config)]
            if teachers:
                objectives.append(Distillation(self.backbone, config, teachers))
            for objective in objectives:
                objective.prepare(everything, self._examples, runtime)
        self._objectives = objectives
        self.judge, self.fresh = objectives[-1].judge, objectives[-1].fresh
        modules = {"backbone": self.backbone.model, "objectives": nn.ModuleList(objectives)}
        self._model = nn.ModuleDict(modules).to(self._device)
        weights = self.weights()
        groups = [
            {
                "params": [w for name, w in weights.items() if (w.ndim > 1, name.startswith(part)) == (matrix, True)],
                "weight_decay": config.weight_decay * matrix,
                "factor": factor,
            }
            for part, factor in (("backbone.", 1.0), ("objectives.", config.head_rate))
            for matrix in (True, False)
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
        self._seconds = np.array([min(clip.seconds, config.crop_seconds) for clip in training])
        steps = round(config.passes * sum(self._seconds.tolist()) / config.batch_seconds)
        self.steps = min(config.max_steps, max(1, steps))
        self._portion = training_portion(self.backbone, float(self._seconds.max()), "TAPT")
        self._checked = Portion(config.batch_seconds, "the validation of TAPT")
        self.warm_up = math.ceil(WARM_UP * self.steps) if self.fresh else 0  # steps for which heads learn alone

    def schedule(self) -> Iterator[NDArray[np.int64]]:
        """The batches of step 0, 1, 2, ... as indices of training clips, pass after pass without end."""
        number = 0
        while True:
            yield from length_batches(
                self._seconds, self._config.batch_seconds, np.random.default_rng([self._seed, 1, number])
            )
            number += 1

    def settle(self) -> None:
        """Before the first step."""
        for objective in self._objectives:
            objective.settle(self._examples, self._source, self._runtime)

    def step(self, number: int, batch: NDArray[np.int64]) -> StepReport:
        """Take optimiser step `number`, 0 for the first, on the training clips at the indices `batch`.

        Where the batch doesn't fit into memory, its gradient is summed up over parts, each weighted by its share of the
        masked frames; then the diversity term is that of each part. A team's processes compute parts in the same way.
        """
        rng = np.random.default_rng([self._seed, 2, number])
        stretches = [self._crop(self._training[i], rng) for i in batch]
        lengths = torch.tensor([stretch.frames for stretch in stretches])
        masks = draw_masks(lengths, [rng] * len(batch), ratio=self._config.mask_ratio, span=self._config.mask_span)
        masked_frames = int(masks.valid.sum())
        self._model.train()
        self._anneal(number)
        seed = int(rng.integers(2**63))
        own = self._team.own(np.arange(len(batch)))

        def gradients(parts: Parts) -> Tensor:
            self._optimizer.zero_grad(set_to_none=True)
            noise, losses = copy.deepcopy(rng), [torch.zeros((), device=self._device)]
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                for part in parts:
                    rows = own[part]
                    share = int(masks.valid[torch.from_numpy(rows)].sum()) / masked_frames
                    loss = share * self._loss([stretches[row] for row in rows], masks.of(rows), noise)
                    loss.backward()
                    losses.append(loss.detach())
            return torch.stack(losses).sum()

        loss = self._portion.run([self._seconds[i] for i in batch[own]], gradients)
        loss = self._team.add_up(self.weights().values(), loss)
        taken = bool(nn.utils.clip_grad_norm_(self.weights().values(), CLIP_NORM).isfinite())
        if taken:
            self._optimizer.step()
        seen_frames = int(lengths.sum())
        return StepReport(loss=loss, taken=taken, masked_frames=masked_frames, seen_frames=seen_frames)

    def _loss(self, stretches: Sequence[Stretch], masks: Masks, rng: np.random.Generator) -> Tensor:
        """() weighted sum of all terms."""
        frames, lengths = self._source.read(stretches, self._device, rng)
        seen = run_masked(self.backbone, stretches, frames, lengths, masks.to(self._device))
        terms = [term for objective in self._objectives for term in objective(seen).values()]
        return torch.stack([term.weight * term.value for term in terms]).sum()

    def validate(self) -> Validation:
        """Losses on the held-out clips."""
        self._model.eval()
        return self._checked.run([clip.seconds for clip in self._held_out], self._validation)

    @torch.no_grad()
    def _validation(self, batches: Parts) -> Validation:
        sums: defaultdict[str, list[Tensor]] = defaultdict(list)
        counts: defaultdict[str, float] = defaultdict(float)
        usage: list[Tensor] = []  # (G, E) each
        for done, batch in enumerate(batches):
            self._runtime.progress("validate", done, len(batches))
            seen = self._held_out_batch([self._held_out[i] for i in batch])
            for objective in self._objectives:
                for name, term in objective(seen).items():
                    sums[name].append(term.value.double() * term.size)
                    counts[name] += term.size
            used = self._objectives[0].usage(seen)
            if used is not None:
                usage.append(used.double())
        total = torch.stack(usage).sum(0) if usage else torch.ones(1, 1)
        return Validation(
            losses={name: float(torch.stack(values).sum() / counts[name]) for name, values in sums.items()},
            perplexity=float(perplexity(total)) / total.numel(),
        )

    def weights(self) -> dict[str, nn.Parameter]:
        """The weights in training, by name."""
        return {name: weight for name, weight in self._model.named_parameters() if weight.requires_grad}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take what `weights` gave."""
        with torch.no_grad():
            for name, weight in self.weights().items():
                weight.copy_(weights[name])

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """The optimiser's moments and step counts, by weight and kind."""
        states = self._optimizer.state_dict()["state"]
        return {f"{index}.{kind}": value for index, state in states.items() for kind, value in state.items()}

    def load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        """Take what `optimizer_tensors` gave."""
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            index, kind = name.split(".")
            states.setdefault(int(index), {})[kind] = value
        self._optimizer.load_state_dict(self._optimizer.state_dict() | {"state": states})

    def _held_out_batch(self, clips: Sequence[Clip]) -> MaskedBatch:
        stretches = self._source.whole(clips)
        frames, lengths = self._source.read(stretches, self._device)
        rngs = [clip_generator(self._seed, clip.id) for clip in clips]
        masks = draw_masks(lengths, rngs, ratio=self._config.mask_ratio, span=self._config.mask_span)
        return run_masked(self.backbone, stretches, frames, lengths, masks.to(self._device))

    def _crop(self, clip: Clip, rng: np.random.Generator) -> Stretch:
        longest = round(self._config.crop_seconds * SAMPLE_RATE / self._source.hop)
        length = self._source.length(clip)
        start = rng.integers(max(length - longest, 0) // self._ratio + 1) * self._ratio
        return Stretch(clip, int(start), min(length - int(start), longest))

    def _anneal(self, number: int) -> None:
        """Set what changes with the step."""
        warm_up = WARM_UP * self.steps
        rate = min((number + 1) / warm_up, (self.steps - number) / (self.steps - warm_up), 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * rate * group["factor"]
        for objective in self._objectives:
            objective.anneal(number / self.steps)
