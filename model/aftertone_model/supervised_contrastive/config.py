"""Hyper-parameters of cross-corpus supervised contrastive learning; the defaults are the paper's (section 4.2)."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from aftertone_model.config import STRICT, Positive, Share

Whole = Annotated[int, Field(gt=0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EncoderStage:
    """Stage 1: the transformer and the pooling learn from pairs of corpora. The CNN and its projection are frozen."""

    learning_rate: Positive = 1e-4  # Adam's, of the pooling
    transformer_share: Share = 0.4  # of the learning rate, for the transformer
    epochs: Whole = 50  # an epoch has as many batches as there are clips, divided by the batch size
    halved_from: Whole = 25  # epoch from which the rate is halved
    halved_every: Whole = 5  # epochs
    batch_size: Annotated[int, Field(ge=8, multiple_of=4)] = 32  # clips
    temperature: Positive = 0.07  # τ of InfoNCE
    cosine_weight: Share = 0.5  # α of the cosine margin loss
    margin: Annotated[float, Field(ge=-1, le=1)] = 0.4  # m of the cosine margin loss
    crop_seconds: Positive = 15.0  # longer clips are cut at a random place; ours


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ClassifierStage:
    """Stage 2: the pooling and the classifier learn the target's labels. The transformer is frozen."""

    learning_rate: Positive = 5e-4  # Adam's
    epochs: Whole = 10
    slowed_from: Whole = 5  # epochs after which the rate is
    slowed_to: Share = 0.1  # of what it was
    batch_size: Whole = 32  # clips
    hidden: Whole = 256  # width between the classifier's two layers


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DirectStage:
    """What the paper compares with: transformer, pooling and classifier learn the target's labels at once."""

    learning_rate: Positive = 1e-3  # Adam's, of pooling and classifier
    transformer_share: Share = 0.4  # of the learning rate, for the transformer
    epochs: Whole = 50
    slowed_every: Whole = 20  # epochs after which the rate is, again and again,
    slowed_to: Share = 0.2  # of what it was
    batch_size: Whole = 32  # clips
    hidden: Whole = 256  # width between the classifier's two layers
    crop_seconds: Positive = 15.0  # longer clips are cut at a random place; ours


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ContrastiveConfig:
    """All stages."""

    encoder: EncoderStage = EncoderStage()
    classifier: ClassifierStage = ClassifierStage()
    direct: DirectStage = DirectStage()


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LoopConfig:
    """The method in a project."""

    stages: ContrastiveConfig = ContrastiveConfig()
    tapt: bool  # adapt the backbone to the pool before stage 1; the paper has no such step


LOOP = {
    "paper": LoopConfig(tapt=False),
    "practical": LoopConfig(
        stages=ContrastiveConfig(encoder=EncoderStage(epochs=10, halved_from=5, halved_every=1)), tapt=True
    ),
}
"""By preset. `practical` is shorter, ours, and its epochs are not measured."""
