"""How a project learns: one validated configuration from TAPT to the seed set, training and acquisition.

The presets are `paper`, which does what AFTER says, and `practical`, the default.
"""

import dataclasses
import json
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]

STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PretrainingConfig:
    """Hyper-parameters of pre-training. The defaults continue a published checkpoint: the paper's TAPT."""

    learning_rate: Positive = 1e-4  # peak of AdamW, the paper's; rises for a tenth of the steps, then falls to zero
    head_rate: Positive = 10.0  # of what is learned beside the backbone and dropped later, times `learning_rate`
    weight_decay: Share = 0.01  # on matrices
    mask_ratio: Share = 0.15
    """Share of frames masked; the paper's. wav2vec 2.0 was made with about 0.5. Negatives are other masked frames of
    the clip: of 3 s (150 frames of 20 ms) 15 % leave 21 of them, 50 % leave 74."""
    mask_span: Annotated[int, Field(gt=0)] = 10  # frames per masked span, 20 ms each; wav2vec 2.0's
    diversity_weight: Annotated[float, Field(ge=0)] = 0.1  # of the diversity term; wav2vec 2.0's
    warm_temperature: Positive = 1.0  # of the Gumbel softmax at the first step; falls geometrically to
    cold_temperature: Positive = 0.5  # this at the last step
    units: Annotated[int, Field(gt=1, le=10_000)] = 100
    """k-means units of masked prediction, for families without a quantiser; HuBERT was made with 100, then 500."""
    train_cnn: bool = False  # the CNN learns too; in TAPT it never does
    distil_weight: Positive = 1.0  # of the distillation loss, where there are teachers
    noise: Share = 0.0  # of stretches heard in noise where the CNN learns; teachers hear them without
    batch_seconds: Positive = 200.0  # audio per step, padding included
    crop_seconds: Positive = 10.0  # longer clips are cut to a random stretch of this length at each step
    passes: Positive = 10.0  # how often the pool's audio is gone through
    max_steps: Annotated[int, Field(gt=0)] = 20_000  # however large the pool is; as many as the authors' code takes
    validations: Annotated[int, Field(gt=0)] = 20  # over the run, beside the one before it
    patience: Annotated[int, Field(gt=0)] = 4  # validations without a better loss before the run stops


TAPT_PROFILES = {
    "standard": PretrainingConfig(),
    # For a small backbone that starts from random weights: many small, bold steps instead of few careful ones.
    "from-scratch": PretrainingConfig(
        learning_rate=2e-3,
        head_rate=1.0,  # the body starts at random as well
        mask_span=3,  # 60 ms: of spans of 200 ms an untrained model learns nothing for hundreds of steps
        warm_temperature=2.0,
        batch_seconds=10.0,
        passes=4.0,
        max_steps=3_000,
        validations=10,
    ),
    # Continues the bundled backbone: briefly, since it forgets its teacher meanwhile.
    "brief": PretrainingConfig(
        learning_rate=3e-4,
        mask_span=3,  # 120 ms at a frame per 40 ms
        batch_seconds=32.0,
        passes=2.0,
        max_steps=5_000,
        validations=5,
        patience=5,
    ),
}
"""TAPT settings by the name that a backbone's config.json may give as `tapt_profile`; without one it is "standard"."""


def tapt_config(wanted: str, otherwise: PretrainingConfig) -> PretrainingConfig:
    """TAPT settings as somebody names them: '' for `otherwise`, a profile's name, or JSON of fields that differ.

    Raises:
        ValueError: there is no such profile or field, or a value doesn't fit.
    """
    if not wanted.strip():
        return otherwise
    if wanted.strip() in TAPT_PROFILES:
        return TAPT_PROFILES[wanted.strip()]
    try:
        changes = json.loads(wanted)
    except ValueError:
        changes = None
    if not isinstance(changes, dict):
        raise ValueError(f'must be one of {", ".join(TAPT_PROFILES)}, or JSON such as {{"mask_ratio": 0.5}}')
    return TypeAdapter(PretrainingConfig).validate_python({**dataclasses.asdict(otherwise), **changes})


FROM_SCRATCH = PretrainingConfig(
    learning_rate=1e-3,
    head_rate=1.0,
    mask_span=3,
    warm_temperature=2.0,
    train_cnn=True,
    diversity_weight=3.0,
    distil_weight=30.0,
    noise=0.3,
    batch_seconds=32.0,
    crop_seconds=4.0,
    max_steps=1_000_000,
    validations=10,
    patience=10,
)
"""Of `aftertone pretrain`: for a backbone of some million parameters and some hours of speech."""

CONTINUED = dataclasses.replace(FROM_SCRATCH, learning_rate=5e-4, warm_temperature=FROM_SCRATCH.cold_temperature)
"""Of `aftertone pretrain --start`: half the rate, and codes as cold as they were left."""


class Tuning(StrEnum):
    """Which weights a stage of training changes. The CNN's never are."""

    PROBE = "probe"  # only the head, on representations of the frozen transformer
    LAST_LAYERS = "last-layers"  # the head and the last few transformer layers
    LORA = "lora"  # the head and low-rank updates of the attention's projections, merged into them at the end
    FULL = "full"  # the head and the whole transformer


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Stage:
    """One stage of training a classifier; a method is a sequence of stages, each going on from the one before."""

    tuning: Tuning
    attributes: dict[str, Positive] = dataclasses.field(default_factory=dict[str, float])
    """Attributes of a clip, such as gender, that are learned too, each with the weight of its loss. Clips that lack one
    don't count for it."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingConfig:
    """The hyper-parameters of a project. Rates are per update. The defaults are the preset `practical`."""

    tapt: PretrainingConfig | None = None  # None: the profile that the backbone's config.json names
    strategy: str = "typiclust-margin"  # query strategy that ranks the pool when a call names none
    random_share: Share = 0.1  # share of each batch that chance draws, whatever the strategy; the strategy's at 0
    seeding: Literal["kmeans", "kmeans-elbow", "typiclust"] = "kmeans"  # how the seed set is chosen
    warm_start: bool = False  # go on from the previous round's classifier (Algorithm 1, line 10), not from the backbone
    tuning: Tuning = Tuning.PROBE  # from `tuning_from` training labels on
    few_labels_tuning: Tuning = Tuning.PROBE  # with fewer
    tuning_from: Count = 1_000  # training labels
    last_layers: Annotated[int, Field(gt=0)] = 2  # transformer layers that `Tuning.LAST_LAYERS` trains
    lora_rank: Annotated[int, Field(gt=0)] = 8
    attributes: dict[str, Positive] = dataclasses.field(default_factory=dict[str, float])  # see `Stage.attributes`
    clip_head: bool = True  # judge clips by a `ClipHead` beside the transformers classifier
    speakers: bool = True  # the clip head standardises each known speaker's clips
    deviation: bool = True  # the clip head reads the deviation over time beside the mean
    damping: bool = True  # the clip head damps what differs between a clip's first half and its second
    clip_head_c: Positive = 0.003  # inverse strength of the clip head's L2 penalty, as scikit-learn's C
    mix_layers: bool = True  # the head reads a learned mixture of all layers, not the last one alone
    standardise: bool = True  # the projector starts as a standardisation of its inputs, not at random
    dropout: Annotated[float, Field(ge=0, lt=1)] = (
        0.2  # share of the clip's embedding that is dropped in training and in MC samples
    )
    head_rate: Positive = 1e-3  # learning rate of the head
    encoder_rate: Positive = 1e-4  # learning rate of the transformer
    probe_rate: Positive = 1e-2  # learning rate of a probe's head: it sees all clips in each update
    weight_decay: Share = 0.01  # AdamW's decoupled decay; at 0 this is Adam
    warmup: Share = 0.1  # share of the updates over which rates rise; then they fall to 0. At 0 they are constant
    updates: Count = 150  # least number of updates, whatever the number of labels
    epochs: Count = 5  # least number of passes over the labels; training ends once both are done
    batch_seconds: Positive = 16.0  # audio per update, padding included
    crop_seconds: Positive = 15.0  # longer clips are cut at a random place to this length in training
    max_class_weight: Annotated[float, Field(ge=1)] = 4.0  # cap on how much a rare class's loss counts; 1: no weights
    validation: Share = 0.0  # share of the training labels held out for early stopping; at 0 there is none
    patience: Count = 0  # epochs without a lower validation loss after which training stops
    votes: Literal["majority", "shares", "reliability"] = "reliability"  # how several annotators' votes make one label
    mc_samples: Annotated[int, Field(gt=0)] = 20  # dropout masks K for strategies that compare MC samples

    def tuning_for(self, labels: int) -> Tuning:
        """The tuning method for so many training labels (measured: docs/training.md)."""
        return self.tuning if labels >= self.tuning_from else self.few_labels_tuning

    def stages(self, labels: int) -> tuple[Stage, ...]:
        """What a round does with so many training labels, in order."""
        return (Stage(tuning=self.tuning_for(labels), attributes=self.attributes),)

    def slower(self) -> "TrainingConfig":
        """The same at half the rates, for another try after a collapse."""
        rates = {name: getattr(self, name) / 2 for name in ("head_rate", "encoder_rate", "probe_rate")}
        return dataclasses.replace(self, **rates)


PRACTICAL = TrainingConfig()
"""The default: a probe under the clip head, from scratch each round, no early stopping (docs/training.md)."""

PAPER = TrainingConfig(
    tapt=PretrainingConfig(),
    strategy="entropy",
    random_share=0.0,
    seeding="kmeans-elbow",
    warm_start=True,
    tuning=Tuning.FULL,
    few_labels_tuning=Tuning.FULL,
    clip_head=False,
    mix_layers=False,
    standardise=False,
    dropout=0.1,
    head_rate=1e-4,
    probe_rate=1e-4,
    weight_decay=0.0,
    warmup=0.0,
    updates=0,
    epochs=100,
    batch_seconds=100.0,
    max_class_weight=1.0,
    votes="shares",
    validation=0.1,
    patience=20,
)
"""What the paper says (§2.4, §3.1.3, Algorithm 1): Adam 1e-4, warm start, early stopping on a validation tenth."""

PRESETS = {"paper": PAPER, "practical": PRACTICAL}
"""The presets by name."""
