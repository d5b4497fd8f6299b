"""aftertone-mini: the shape of the bundled backbone, as drawn before pre-training, and where its weights are.

A wav2vec 2.0 for machines without a GPU. It differs from the published shapes where that makes it cheap: the CNN
begins at 100 frames per second with windows of 40 ms, as classical features do, and ends at 25, half the usual number,
so that the transformer costs half as much per second of speech.
"""

import math
from pathlib import Path

import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

from aftertone_model.backbone_names import MINI
from aftertone_model.backbones.filter_bank import HIGHEST, LOWEST, band_passes

FOLDER = Path(__file__).parent / MINI
PHASES = 4  # filters per centre frequency, a quarter period apart: their half waves together give the envelope
OFFSET = 0.1  # deviation of the first layer's biases; layer norm then can't hide how loud a frame is


def mini_config() -> Wav2Vec2Config:
    """7 million parameters, a frame per 40 ms.

    Layer norm in the CNN: with group norm the padding of a batch would change a clip's frames.
    """
    return Wav2Vec2Config(
        conv_dim=(320, 256, 256),
        conv_kernel=(640, 4, 4),
        conv_stride=(160, 2, 2),
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        hidden_size=384,
        num_hidden_layers=4,
        num_attention_heads=6,
        intermediate_size=1_024,
        num_conv_pos_embeddings=16,
        hidden_dropout=0.0,  # a model this small underfits
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        feat_quantizer_dropout=0.0,
        layerdrop=0.0,
        codevector_dim=128,
        proj_codevector_dim=128,
        classifier_proj_size=384,
        tapt_profile="brief",  # pyright: ignore[reportCallIssue] -- a field of ours in config.json
    )


def draw_mini(seed: int) -> Wav2Vec2ForPreTraining:
    """The model before pre-training, drawn under `seed`, its first layer a bank of band-pass filters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = Wav2Vec2ForPreTraining(mini_config())
        first = backbone.wav2vec2.feature_extractor.conv_layers[0]
        with torch.no_grad():
            weight = first.get_parameter("conv.weight")
            mel = torch.linspace(LOWEST, HIGHEST, len(weight) // PHASES).repeat_interleave(PHASES)
            phase = 2 * math.pi * torch.arange(PHASES).repeat(len(weight) // PHASES) / PHASES
            weight.copy_(band_passes(mel, phase, weight.shape[-1]))
            first.get_parameter("conv.bias").normal_(std=OFFSET)
    return backbone.eval()
