"""The emotion classifier: transformers' own ...ForSequenceClassification, run from cached CNN frames.

A round's model is a plain transformers model, so that it exports as it is. Its head is: mixture of layers (or the last
one) → projector → mean over time → classifier. Everything between the layers and the logits is linear, so the mean over
time may be taken first. That leaves one small array per clip, on which the head is trained, scored and sampled. The
deviation over time is kept beside it, for the clip head (`clip_head`).
"""

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.encoder import Encoder
from aftertone_model.backbones.families import SpeechClassifier, family_of
from aftertone_model.errors import BackboneError
from aftertone_model.labels import LabelSchema

EPSILON = 1e-6  # added to variances: the root of 0 has no gradient
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
    if schema.scales:
        config.rating_scales = [[scale.low, scale.high] for scale in schema.scales]
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
            # transformers mixes in the transformer's input as well, with its position
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
    """What heads need of each clip: how its frames are in each layer that the classifier reads.

    Args:
        frames: (B, T, C) cached CNN frames.
        lengths: (B,) frames of each clip.

    Returns:
        (B, L, 4D) float32. Of each layer the mean and the deviation over time (2D), then half of what each of them
        changes from the clip's first half to its second (2D), which tells how much they are of the moment. The layers
        are the transformer's input and every layer's output, or the last layer's alone if the classifier reads that.
    """
    encoder = Encoder(classifier)
    if classifier.config.use_weighted_layer_sum:
        layers = encoder.layers(frames, lengths)
    else:
        layers = [encoder.contextualise(frames, lengths)]
    counts = lengths.to(frames.device)[:, None]  # (B, 1)
    time, half = torch.arange(frames.shape[1], device=frames.device), (counts // 2).clamp_min(1)
    inside = time < counts  # (B, T)
    stretches = torch.stack([inside, time < half, inside & (time >= counts - half)], dim=1)  # (B, 3, T): whole, halves
    shares = (stretches / stretches.sum(dim=-1, keepdim=True)).float()
    with torch.autocast(frames.device.type, enabled=False):  # bfloat16 has too few digits for sums over time
        # where(): what lies beyond a clip's length is meaningless and may be NaN, and 0 * NaN is NaN
        described = [_described(torch.where(inside[..., None], layer.float(), 0.0), shares) for layer in layers]
    return torch.stack(described, dim=1)


def _described(layer: Tensor, shares: Tensor) -> Tensor:
    """(B, 4D) of one layer (B, T, D); `shares` (B, 3, T) are the weights of frames in the whole and in its halves."""
    location = shares[:, :1] @ layer  # (B, 1, D)
    centred = layer - location  # squares of large means would lose digits
    mean = shares @ centred  # (B, 3, D), 0 of the whole
    deviation = ((shares @ centred.square() - mean.square()).clamp_min(0) + EPSILON).sqrt()
    whole, first, second = torch.cat([location + mean, deviation], dim=-1).unbind(dim=1)  # (B, 2D) each
    return torch.cat([whole, (second - first) / 2], dim=-1)


def embed(classifier: SpeechClassifier, features: Tensor) -> Tensor:
    """Clip embeddings (B, D), the input of the last linear layer, from the means among `clip_features` (B, L, 4D)."""
    features = features[..., : classifier.config.hidden_size]
    if classifier.config.use_weighted_layer_sum:
        weights = classifier.layer_weights[1:].softmax(dim=0)  # (L - 1,), without the transformer's input
        mixed = (features[:, 1:] * weights[:, None]).sum(dim=1)  # (B, D)
    else:
        mixed = features[:, -1]
    return classifier.projector(mixed)


@torch.no_grad()
def standardise(classifier: SpeechClassifier, features: Tensor) -> None:
    """Make the projector bring these clips' embeddings to mean 0 and variance 1 in each dimension.

    The raw means have a few dimensions far larger than the rest, on which a random head would spend all its updates.
    """
    size, device = classifier.config.hidden_size, features.device
    identity, zero = torch.eye(size, device=device), torch.zeros((), device=device)
    classifier.projector.weight.copy_(identity)
    classifier.projector.bias.copy_(zero)
    raw = embed(classifier, features)  # (N, D)
    # the floor: a dimension that hardly varies on few clips must not be blown up
    deviation = raw.std(dim=0, correction=0).clamp(min=1e-2 * float(raw.std(correction=0)) + 1e-6)
    classifier.projector.weight.copy_(identity / deviation[:, None])
    classifier.projector.bias.copy_(-raw.mean(dim=0) / deviation)


def dropout_masks(samples: int, width: int, dropout: float, seed: int) -> Tensor:
    """(K, width) float32 masks of a linear layer's inputs, 0 or 1 / (1 - dropout).

    The same masks for every clip make sample k one model for all clips, which BatchBALD's joint entropy needs, and the
    encoder runs once.
    """
    keep = (np.random.default_rng(seed).random((samples, width)) >= dropout) / (1 - dropout)
    return torch.from_numpy(keep.astype(np.float32))


@torch.no_grad()
def sampled_logits(classifier: SpeechClassifier, embeddings: Tensor, keep: Tensor) -> Tensor:
    """(N, K, C) logits of embeddings (N, D) under K masks (K, D) of them.

    Masks act on the last layer's weights, so memory is (K, D, C) beside the result.
    """
    head: nn.Linear = classifier.classifier
    weights = keep[:, :, None] * head.weight.T  # (K, D, C)
    logits = embeddings @ weights.permute(1, 0, 2).flatten(1)  # (N, K * C)
    return logits.view(len(embeddings), len(keep), -1) + head.bias
