"""The emotion classifier: transformers' own ...ForSequenceClassification, run from cached CNN frames.

A round's model is a plain transformers model, so that it exports as it is. Its head is: mixture of layers (or the last
one) → projector → mean over time → classifier. Everything between the layers and the logits is linear, so the mean over
time may be taken first. That leaves one small array per clip, on which the head is trained, scored and sampled.
"""

import copy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoConfig

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.encoder import Encoder
from aftertone_model.backbones.families import SpeechClassifier, family_of
from aftertone_model.errors import BackboneError
from aftertone_model.labels import LabelSchema

NEVER = -1e4  # softmax gives this layer weight 0


def new_classifier(backbone: Backbone, schema: LabelSchema, *, mix_layers: bool, seed: int) -> SpeechClassifier:
    """A classifier with the backbone's body and a random head, on the CPU, in eval mode.

    Args:
        backbone: not changed and not shared.
        mix_layers: read a learned mixture of the outputs of all transformer layers instead of the last one.
        seed: of the head's weights.
    """
    config = copy.deepcopy(backbone.config)
    config.id2label = dict(enumerate(schema.classes))
    config.label2id = {name: number for number, name in enumerate(schema.classes)}
    config.problem_type = schema.problem_type
    config.use_weighted_layer_sum = mix_layers
    config.classifier_proj_size = config.hidden_size
    config.layerdrop = 0.0  # it makes rounds on few labels noisier, and a mixture needs every layer
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = backbone.family.classifier(config)
    Encoder(classifier).body.load_state_dict(backbone.body.state_dict())
    if mix_layers:
        with torch.no_grad():
            classifier.layer_weights.zero_()
            # transformers mixes in the transformer's input as well; `Encoder.layers` gives outputs only
            classifier.layer_weights[0] = NEVER
    return classifier.eval()


def load_classifier(folder: Path) -> SpeechClassifier:
    """A classifier that `save_pretrained` wrote, on the CPU, in eval mode.

    Raises:
        BackboneError: the folder is missing or holds something else.
    """
    try:
        family = family_of(AutoConfig.from_pretrained(folder, local_files_only=True))
        return family.classifier.from_pretrained(folder, local_files_only=True).eval()
    except (OSError, ValueError) as error:
        raise BackboneError(
            f"{folder} holds no classifier ({str(error).splitlines()[0]}). Train a round again, or restore the folder."
        ) from error


def class_names(classifier: SpeechClassifier) -> tuple[str, ...]:
    """The C classes in the order of the logits."""
    numbered = sorted((int(number), name) for number, name in (classifier.config.id2label or {}).items())
    return tuple(name for _, name in numbered)


def clip_features(classifier: SpeechClassifier, frames: Tensor, lengths: Tensor) -> Tensor:
    """What the head needs of each clip: the mean over time of each layer that it reads.

    Args:
        frames: (B, T, C) cached CNN frames.
        lengths: (B,) frames of each clip.

    Returns:
        (B, L, D) float32; L is 1 where the head reads the last layer alone.
    """
    encoder = Encoder(classifier)
    if classifier.config.use_weighted_layer_sum:
        layers = encoder.layers(frames, lengths)
    else:
        layers = [encoder.contextualise(frames, lengths)]
    inside = torch.arange(frames.shape[1], device=frames.device) < lengths.to(frames.device)[:, None]  # (B, T)
    shares = (inside / inside.sum(dim=1, keepdim=True)).float()  # (B, T)
    # where() first: what lies beyond a clip's length is meaningless and may be NaN, and 0 * NaN is NaN
    means = [torch.where(inside[..., None], layer.float(), 0.0).mul(shares[..., None]).sum(dim=1) for layer in layers]
    return torch.stack(means, dim=1)  # (B, L, D)


def embed(classifier: SpeechClassifier, features: Tensor) -> Tensor:
    """Clip embeddings (B, D), the input of the last linear layer, from `clip_features` (B, L, D)."""
    if classifier.config.use_weighted_layer_sum:
        weights = classifier.layer_weights[1:].softmax(dim=0)  # (L,), without the transformer's input
        mixed = (features * weights[:, None]).sum(dim=1)  # (B, D)
    else:
        mixed = features[:, -1]
    return classifier.projector(mixed)


@torch.no_grad()
def standardise(classifier: SpeechClassifier, features: Tensor) -> None:
    """Make the projector bring these clips' embeddings to mean 0 and variance 1 in each dimension.

    The raw means have a few dimensions far larger than the rest, on which a random head would spend all its updates.
    """
    identity, zero = torch.eye(features.shape[-1], device=features.device), torch.zeros((), device=features.device)
    classifier.projector.weight.copy_(identity)
    classifier.projector.bias.copy_(zero)
    raw = embed(classifier, features)  # (N, D)
    # the floor: a dimension that hardly varies on few clips must not be blown up
    deviation = raw.std(dim=0, correction=0).clamp(min=1e-2 * float(raw.std(correction=0)) + 1e-6)
    classifier.projector.weight.copy_(identity / deviation[:, None])
    classifier.projector.bias.copy_(-raw.mean(dim=0) / deviation)


@torch.no_grad()
def dropout_samples(
    classifier: SpeechClassifier,
    schema: LabelSchema,
    embeddings: NDArray[np.float32],
    *,
    samples: int,
    dropout: float,
    seed: int,
) -> NDArray[np.float32]:
    """Class probabilities under K dropout masks of the embedding, the same K for every clip.

    Consistent masks make sample k one model for all clips, which BatchBALD's joint entropy needs, and the
    encoder runs once. Masks act on the last layer's weights, so memory is (K, D, C) beside the result.

    Args:
        embeddings: (N, D).
        samples: K > 0.
        dropout: share of the D entries that each mask drops, in (0, 1).

    Returns:
        (N, K, C) float32; sums to 1 over C where classes are exclusive.
    """
    head: nn.Linear = classifier.classifier
    rng = np.random.default_rng(seed)
    keep = (rng.random((samples, head.in_features)) >= dropout) / (1 - dropout)  # (K, D)
    weights = torch.from_numpy(keep.astype(np.float32)).to(head.weight.device)[:, :, None] * head.weight.T  # (K, D, C)
    joined = weights.permute(1, 0, 2).flatten(1)  # (D, K * C)
    logits = torch.from_numpy(embeddings).to(head.weight.device) @ joined  # (N, K * C)
    logits = logits.view(len(embeddings), samples, -1) + head.bias
    return (logits.softmax(dim=-1) if schema.exclusive else logits.sigmoid()).cpu().numpy()
