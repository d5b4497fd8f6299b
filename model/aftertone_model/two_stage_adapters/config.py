"""Hyper-parameters of two-stage adapters with multi-task learning; the defaults are the paper's (section 3.2).

The paper prints the learning rate as "10e-5", read here as it stands: 1e-4. It gives one rate, one number of epochs and
one batch size, read as those of each stage. It names neither optimiser nor schedule: Adam at a constant rate is ours,
and so is clipping gradients to norm 1.
"""

import dataclasses
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from aftertone_model.config import STRICT, Positive

Whole = Annotated[int, Field(gt=0)]
Weight = Annotated[float, Field(gt=0, lt=1)]
Tuning = Literal["all", "adapters"]
"""Which weights a stage trains beside its heads: all of the transformer, or adapters in a frozen one (Table 2)."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AdapterConfig:
    """What is put into each transformer layer, and after the last one for each task."""

    rank: Whole = 64  # of LoRA in the attention; its scale is 1, ours
    projections: tuple[Literal["q_proj", "k_proj", "v_proj", "out_proj"], ...] = (
        *("q_proj", "k_proj", "v_proj", "out_proj"),
    )  # of the attention that LoRA updates; the paper says "the multi-head attention", all four are ours
    bottleneck: Whole = 64  # width of the bottleneck adapters; ours


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StageTraining:
    """How either stage is trained."""

    tuning: Tuning
    learning_rate: Positive = 1e-4  # Adam's
    epochs: Whole = 200
    batch_size: Whole = 16  # clips
    crop_seconds: Positive = 15.0  # longer clips are cut at a random place; ours


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TranscriptStage(StageTraining):
    """Stage 1: emotion and transcript (equation 4)."""

    tuning: Tuning = "all"
    transcript_weight: Annotated[float, Field(ge=0, lt=1)] = 0.1  # α, of CTC


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AttributeStage(StageTraining):
    """Stage 2: emotion and other attributes (equation 5)."""

    tuning: Tuning = "adapters"
    attributes: dict[str, Weight] = dataclasses.field(default_factory=lambda: {"gender": 0.1, "style": 0.1})
    """Keys of `Clip.attributes`, each with its β; emotion has the rest. {} learns emotion alone (Table 2)."""
    fusion: Literal["none", "concatenation"] = "concatenation"  # what the emotion classifier reads (Table 3)
    contrast: Literal["none", "norm", "cosine"] = "cosine"  # the self-contrastive loss (equations 6 and 7, Table 3)
    contrast_weight: Positive = 1.0  # of that loss; the paper adds it without a weight

    @model_validator(mode="after")
    def _leaves_some_for_emotion(self) -> Self:
        if (total := sum(self.attributes.values())) >= 1:
            raise ValueError(
                f"the attributes' weights add up to {total:g}, and emotion has the rest: keep them below 1"
            )
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TwoStageConfig:
    """Both stages."""

    transcripts: TranscriptStage = TranscriptStage()
    attributes: AttributeStage = AttributeStage()
    adapters: AdapterConfig = AdapterConfig()
    feature_width: Whole = 256  # of what each task's fully connected layer makes of a clip; ours

    @model_validator(mode="after")
    def _goes_on(self) -> Self:
        if (self.transcripts.tuning, self.attributes.tuning) == ("adapters", "all"):
            raise ValueError("adapters in stage 1 and all parameters in stage 2 is none of the paper's settings")
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LoopConfig:
    """The method in a project."""

    stages: TwoStageConfig = TwoStageConfig()
    tapt: bool  # adapt the backbone to the pool before stage 1; the paper has no such step
    again: Whole = 100  # further labels after which stage 1 runs again; ours


LOOP = {
    "paper": LoopConfig(tapt=False),
    "practical": LoopConfig(
        stages=TwoStageConfig(transcripts=TranscriptStage(epochs=20), attributes=AttributeStage(epochs=20)), tapt=True
    ),
}
"""By preset. `practical` is shorter, ours, and its epochs are not measured."""
