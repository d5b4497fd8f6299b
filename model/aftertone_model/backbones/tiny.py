"""A wav2vec 2.0 small enough to train on a CPU, from weights drawn under a seed: what tests, demos and laptops run on.

Its CNN stays as drawn, since TAPT and fine-tuning freeze it, so how it is drawn matters. Frames of a CNN drawn in the
usual way are close to noise: two neighbours, 20 ms apart, correlate by 0.1, and nothing masked can be told from what is
around it. Here the first layer is drawn as a bank of band-pass filters and the others as mixtures of its channels that
average over time: the frames are smoothed spectra, and neighbours correlate by 0.8. The positional convolution, through
which a masked frame first hears of its neighbours, is drawn around a moving average of them.
"""

import math
from typing import Any, cast

import torch
from torch import Size, Tensor
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

from aftertone_model.backbones.filter_bank import HIGHEST, LOWEST, band_passes

AVERAGED = 1.5  # frames, standard deviation of the moving average


def tiny_config() -> Wav2Vec2Config:
    """4.4 million parameters, a frame per 20 ms as in the published models, a CNN that costs a twentieth of theirs.

    Layer norm in the CNN: with group norm the padding of a batch would change a clip's frames.
    """
    return Wav2Vec2Config(
        conv_dim=(64, 128, 256, 256, 256),
        conv_kernel=(400, 8, 4, 4, 4),
        conv_stride=(10, 4, 2, 2, 2),
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=512,
        num_conv_pos_embeddings=32,
        hidden_dropout=0.0,  # a model this small underfits in the few passes that a CPU affords
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        layerdrop=0.0,
        codevector_dim=128,
        proj_codevector_dim=128,
        classifier_proj_size=256,
        tapt_profile="from-scratch",  # pyright: ignore[reportCallIssue] -- a field of ours in config.json
    )


def tiny_model(seed: int) -> Wav2Vec2ForPreTraining:
    """The model of `tiny_config`, every weight drawn under `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = Wav2Vec2ForPreTraining(tiny_config())
        first, *others = [
            layer.get_parameter("conv.weight") for layer in backbone.wav2vec2.feature_extractor.conv_layers
        ]
        with torch.no_grad():  # each (channels out, channels in, taps)
            filters = len(first)  # centred at random about even steps, in random phase
            mel = LOWEST + (HIGHEST - LOWEST) * (torch.arange(filters) + torch.rand(filters)) / filters
            first.copy_(band_passes(mel, 2 * math.pi * torch.rand(filters), first.shape[-1]))
            for weight in others:
                weight.copy_(weight.mean(-1, keepdim=True) * math.sqrt(weight.shape[-1]))
            # A weight-normed layer splits what is assigned; its type knows of no such thing.
            positional = cast(Any, backbone.wav2vec2.encoder.pos_conv_embed.conv)
            positional.weight = 0.3 * positional.weight + _moving_average(positional.weight.shape)
    return backbone.eval()


def _moving_average(shape: Size) -> Tensor:
    """Weights of a grouped convolution by which each channel sees itself nearby in time: (channels, group, taps)."""
    channels, group, taps = shape
    time = torch.arange(taps) - taps // 2
    window = torch.exp(-time.square() / (2 * AVERAGED**2))
    own = torch.eye(group).repeat(channels // group, 1)  # (channels, group)
    return own[..., None] * (2 * window / window.sum())
