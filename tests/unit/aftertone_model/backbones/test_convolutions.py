from typing import Any

import pytest
import torch
from transformers import Wav2Vec2Config
from transformers.models.data2vec.configuration_data2vec_audio import Data2VecAudioConfig
from transformers.models.data2vec.modeling_data2vec_audio import Data2VecAudioFeatureEncoder
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2FeatureEncoder

from aftertone_model.backbones.convolutions import Cnn
from aftertone_model.backbones.mini import mini_config

SMALL: dict[str, Any] = {"conv_dim": (24, 16, 8), "conv_kernel": (10, 3, 2), "conv_stride": (5, 2, 2)}
CONFIGS = {
    "aftertone-mini": mini_config(),
    "group norm, as wav2vec2-base": Wav2Vec2Config(**SMALL),
    "layer norm, as wav2vec2-large": Wav2Vec2Config(**SMALL, feat_extract_norm="layer", conv_bias=True),
    "data2vec-audio": Data2VecAudioConfig(**SMALL),
    "windows that leave samples out": Wav2Vec2Config(
        conv_dim=(24, 16, 8), conv_kernel=(10, 2, 1), conv_stride=(5, 3, 2)
    ),
    "windows over three strides": Wav2Vec2Config(conv_dim=(24, 16, 8), conv_kernel=(10, 5, 6), conv_stride=(5, 2, 2)),
}


@pytest.mark.parametrize("samples", [2_080, 2_081, 2_500, 48_017])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@torch.no_grad()
def test_is_the_models_own(config: Wav2Vec2Config | Data2VecAudioConfig, samples: int) -> None:
    torch.manual_seed(0)
    own = Wav2Vec2FeatureEncoder if isinstance(config, Wav2Vec2Config) else Data2VecAudioFeatureEncoder
    module = own(config).eval()
    for weight in module.parameters():  # norms that do something, and biases
        weight.add_(0.1 * torch.randn_like(weight))
    waveform = torch.randn(samples)
    torch.testing.assert_close(Cnn(module)(waveform), module(waveform[None])[0].T, atol=2e-5, rtol=1e-4)
