import pytest
import torch
from transformers import Wav2Vec2Config

from aftertone_model.backbones import precision
from aftertone_model.backbones.precision import transformer_in_bf16


@pytest.mark.parametrize(("groups", "expected"), [(4, False), (2, True)])
def test_a_cpu_keeps_narrow_positional_convolutions_in_float32(
    groups: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "bf16_is_faster", lambda _: True)
    config = Wav2Vec2Config(hidden_size=32, num_conv_pos_embedding_groups=groups)
    assert transformer_in_bf16(config, torch.device("cpu")) is expected
