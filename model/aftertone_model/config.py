"""How a round fine-tunes: hyper-parameters, and the two presets `paper` and `practical`."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Tuning(StrEnum):
    """How much of the backbone a round trains. The CNN feature encoder never is."""

    PROBE = "probe"  # only the head, on representations of the frozen transformer
    LAYERS = "layers"  # the head and the last few transformer layers
    FULL = "full"  # the head and the whole transformer


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """The hyper-parameters of a round. Rates are per update, shares lie in [0, 1]."""

    strategy: str  # acquisition strategy that ranks the pool when a call names none
    seeding: str  # how the seed set is chosen
    seed_on_transformer: bool  # seeding clusters the adapted transformer's output, not the CNN's
    ignore_speakers: bool  # seeding takes each speaker's mean away first, so that clusters are not speakers
    warm_start: bool  # go on from the previous round's classifier (Algorithm 1, line 10), not from the adapted backbone
    layers_from: int  # training labels from which the last layers are trained; below, a probe
    full_from: int  # training labels from which the whole transformer is trained
    last_layers: int  # transformer layers that `Tuning.LAYERS` trains, > 0
    mix_layers: bool  # the head reads a learned mixture of all layers, not the last one alone
    standardise: bool  # the projector starts as a standardisation of its inputs, not at random
    dropout: float  # share of the clip's embedding that is dropped in training and in MC samples
    head_rate: float  # learning rate of the head
    encoder_rate: float  # learning rate of the transformer
    probe_rate: float  # learning rate of a probe's head: it sees all clips in each update
    weight_decay: float  # AdamW's decoupled decay; at 0 this is Adam
    warmup: float  # share of the updates over which rates rise; then they fall linearly to 0. At 0 they are constant
    updates: int  # least number of updates, whatever the number of labels
    epochs: int  # least number of passes over the labels; training ends once both are done
    batch_seconds: float  # audio per update, padding included
    crop_seconds: float  # longer clips are cut at a random place to this length in training
    max_class_weight: float  # cap on how much a rare class's loss counts; 1 turns weights off
    validation: float  # share of the training labels held out for early stopping; at 0 there is none
    patience: int  # epochs without a lower validation loss after which training stops
    mc_samples: int  # dropout masks K for strategies that compare MC samples

    def depth(self, labels: int) -> Tuning:
        """How deep to train on this many labels (measured: docs/training.md)."""
        if labels >= self.full_from:
            return Tuning.FULL
        return Tuning.LAYERS if labels >= self.layers_from else Tuning.PROBE

    def slower(self) -> "TrainingConfig":
        """The same at half the rates, for another try after a collapse."""
        return replace(
            self,
            head_rate=self.head_rate / 2,
            encoder_rate=self.encoder_rate / 2,
            probe_rate=self.probe_rate / 2,
        )


PAPER = TrainingConfig(
    strategy="entropy",
    seeding="kmeans",
    seed_on_transformer=False,
    ignore_speakers=False,
    warm_start=True,
    layers_from=0,
    full_from=0,
    last_layers=1,
    mix_layers=False,
    standardise=False,
    dropout=0.1,
    head_rate=1e-4,
    encoder_rate=1e-4,
    probe_rate=1e-4,
    weight_decay=0.0,
    warmup=0.0,
    updates=0,
    epochs=100,
    batch_seconds=100.0,
    crop_seconds=15.0,
    max_class_weight=1.0,
    validation=0.1,
    patience=20,
    mc_samples=20,
)
"""What the paper says (§2.4, §3.1.3, Algorithm 1): Adam 1e-4, warm start, early stopping on a validation tenth."""

PRACTICAL = TrainingConfig(
    strategy="entropy-clusters",
    seeding="kmeans",
    seed_on_transformer=False,
    ignore_speakers=False,
    warm_start=False,
    layers_from=1_000,
    full_from=1_000,
    last_layers=2,
    mix_layers=True,
    standardise=True,
    dropout=0.2,
    head_rate=1e-3,
    encoder_rate=1e-4,
    probe_rate=1e-2,
    weight_decay=0.01,
    warmup=0.1,
    updates=150,
    epochs=5,
    batch_seconds=16.0,
    crop_seconds=15.0,
    max_class_weight=4.0,
    validation=0.0,
    patience=0,
    mc_samples=20,
)
"""The default: a probe while labels are few, a fresh start each round, no early stopping (docs/training.md)."""

PRESETS = {"paper": PAPER, "practical": PRACTICAL}
"""The presets by name."""
