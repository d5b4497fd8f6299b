"""Which number format training computes in."""

import torch


def bf16_is_faster(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; where it doesn't, bfloat16 is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
