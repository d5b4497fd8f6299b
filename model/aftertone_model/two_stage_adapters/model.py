"""The model of both stages: a transformer, perhaps with adapters, and a head for each task (figure 1)."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.precision import fastest
from aftertone_model.labels import LabelSchema
from aftertone_model.two_stage_adapters.adapters import Bottleneck, LayerAdapters
from aftertone_model.two_stage_adapters.transcripts import Vocabulary


@dataclass(frozen=True, kw_only=True)
class HeadShape:
    """Which heads there are, and how wide."""

    width: int  # D of the transformer's frames
    feature_width: int  # n of each task's feature
    classes: int  # of emotion
    attributes: Mapping[str, tuple[str, ...]]  # the values of each, in the order of its logits
    bottleneck: int = 0  # width of each task's adapter; 0: there is none
    fusion: bool = False  # emotion is told from the features of all tasks, not from its own alone
    symbols: int = 0  # of CTC, the blank included; 0: no transcripts are learned


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Of B clips."""

    emotion: Tensor  # (B, C) logits
    attributes: tuple[Tensor, ...]  # (B, V) logits of each attribute
    features: tuple[Tensor, ...]  # (B, n) of emotion and of each attribute: xᵉ, xᵍ, xˢ
    embeddings: Tensor  # (B, n), or (B, tasks * n) with fusion: what the emotion classifier reads
    symbols: Tensor | None  # (B, T, V) logits of CTC


class TaskFeature(nn.Module):
    """A task's adapter on the frames, the mean over time, and its fully connected layer."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.bottleneck = Bottleneck(shape.width, shape.bottleneck) if shape.bottleneck else None
        self.projector = nn.Linear(shape.width, shape.feature_width)

    def forward(self, frames: Tensor, inside: Tensor) -> Tensor:
        """(B, n) of frames (B, T, D), each clip's within `inside` (B, T)."""
        if self.bottleneck is not None:
            frames = frames + self.bottleneck(frames)
        shares = (inside / inside.sum(dim=1, keepdim=True)).to(frames.dtype)  # (B, T)
        return self.projector((shares[:, None] @ frames).squeeze(1))


class Heads(nn.Module):
    """All that is learned above the transformer's last layer."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape
        self.emotion = TaskFeature(shape)
        self.attributes = nn.ModuleList([TaskFeature(shape) for _ in shape.attributes])
        tasks = 1 + len(shape.attributes) if shape.fusion else 1
        self.classifier = nn.Linear(tasks * shape.feature_width, shape.classes)
        self.attribute_classifiers = nn.ModuleList(
            [nn.Linear(shape.feature_width, len(values)) for values in shape.attributes.values()]
        )
        self.symbols = nn.Linear(shape.width, shape.symbols) if shape.symbols else None

    def forward(self, frames: Tensor, lengths: Tensor) -> Outputs:
        """Of the transformer's output (B, T, D), float32; what lies beyond a clip's length (B,) has no influence."""
        inside = torch.arange(frames.shape[1], device=frames.device) < lengths.to(frames.device)[:, None]  # (B, T)
        frames = torch.where(inside[..., None], frames, 0.0)  # padding may be NaN, and 0 * NaN is NaN
        features = [task(frames, inside) for task in (self.emotion, *self.attributes)]
        embeddings = torch.cat(features, dim=-1) if self.shape.fusion else features[0]
        judged = zip(self.attribute_classifiers, features[1:], strict=True)
        return Outputs(
            emotion=self.classifier(embeddings),
            attributes=tuple(classifier(feature) for classifier, feature in judged),
            features=tuple(features),
            embeddings=embeddings,
            symbols=None if self.symbols is None else self.symbols(frames),
        )

    @torch.no_grad()
    def go_on_from(self, earlier: "Heads") -> None:
        """Judge emotions as the heads of another stage do, until trained; the paper is silent on it, so this is ours.

        What the emotion classifier reads beside the emotion's own feature counts for nothing at first.
        """
        self.emotion.projector.load_state_dict(earlier.emotion.projector.state_dict())
        if self.emotion.bottleneck is not None and earlier.emotion.bottleneck is not None:
            self.emotion.bottleneck.load_state_dict(earlier.emotion.bottleneck.state_dict())
        own = self.shape.feature_width
        self.classifier.weight.zero_()
        self.classifier.weight[:, :own] = earlier.classifier.weight[:, :own]
        self.classifier.bias.copy_(earlier.classifier.bias)


@dataclass(frozen=True, kw_only=True)
class MultiTaskModel:
    """What a stage leaves: in eval mode, on the device that it was trained on."""

    backbone: Backbone  # with the adapters inside
    adapters: LayerAdapters | None  # None: the stage trained the transformer itself
    heads: Heads
    schema: LabelSchema
    vocabulary: Vocabulary | None = None  # of stage 1

    def __call__(self, frames: Tensor, lengths: Tensor) -> Outputs:
        """Of CNN frames (B, T, C) with lengths (B,), on the model's device."""
        with fastest(self.backbone.config, frames.device):
            hidden = self.backbone.contextualise(frames, lengths)
        return self.heads(hidden.float(), lengths)

    def to(self, device: torch.device) -> "MultiTaskModel":
        """Move it, in place."""
        self.backbone.to(device)  # adapters with it
        self.heads.to(device)
        return self

    def copy(self) -> "MultiTaskModel":
        """Another one with the same weights."""
        return copy.deepcopy(self)  # at once, since the backbone runs the very modules that `adapters` holds


def new_heads(shape: HeadShape, seed: int) -> Heads:
    """Drawn under a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Heads(shape)


def values_of(attributes: Sequence[Mapping[str, str]], name: str) -> tuple[str, ...]:
    """The values that an attribute has among clips, sorted."""
    return tuple(sorted({told[name] for told in attributes if told.get(name)}))
