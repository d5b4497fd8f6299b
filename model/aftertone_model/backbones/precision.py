"""Which number format a transformer computes in, in training and scoring."""

from typing import Any

import torch

NARROWEST = 16  # channels per group of a convolution that bfloat16 is trusted with on a CPU


def bf16_is_faster(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; where it doesn't, bfloat16 is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def transformer_in_bf16(config: Any, device: torch.device) -> bool:
    """Whether this transformer runs in bfloat16: where that is faster, and right.

    On CPUs with AMX, PyTorch 2.11 computes a grouped convolution of 8 channels per group wrongly in bfloat16, so a
    transformer with a positional convolution that narrow runs in float32 on any CPU. Those of aftertone-mini and
    wav2vec 2.0 are wide enough.
    """
    wide = config.hidden_size // config.num_conv_pos_embedding_groups >= NARROWEST
    return bf16_is_faster(device) and (wide or device.type == "cuda")


def fastest(config: Any, device: torch.device) -> torch.autocast:
    """Within it a transformer's products are computed in bfloat16, where `transformer_in_bf16`; weights and sums over
    time stay in float32.

    That the ranking stays is measured: docs/benchmarks/speed.md.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=transformer_in_bf16(config, device))
