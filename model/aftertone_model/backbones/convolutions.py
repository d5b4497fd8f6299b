"""A speech model's CNN over a waveform, on CPUs computed as products of matrices.

Frame after frame in memory, all channels of one together, a window is a row of a matrix that BLAS reads where it
stands. Libraries' one-dimensional convolutions copy each layer's input and output into a layout of their own instead.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class Cnn:
    """The CNN of a model of any of `FAMILIES`, without gradients; equal to it but for the rounding of float32."""

    def __init__(self, feature_extractor: Any) -> None:
        self._module = feature_extractor
        self._device = feature_extractor.conv_layers[0].conv.weight.device
        self._layers = [] if self._device.type != "cpu" else [_Layer(one) for one in feature_extractor.conv_layers]

    @torch.no_grad()
    def __call__(self, waveform: Tensor) -> Tensor:
        """(S,) samples -> (T, C) frames, on the model's device; S at least the receptive field."""
        if not self._layers:
            return self._module(waveform.to(self._device)[None])[0].T
        hidden = waveform.float()[:, None]
        for layer in self._layers:
            hidden = layer(hidden)
        return hidden


class _Layer:
    """One convolution with its norm, if it has one, and its activation."""

    def __init__(self, layer: Any) -> None:
        conv: nn.Conv1d = layer.conv
        self._kernel, self._stride, self._bias = conv.kernel_size[0], conv.stride[0], conv.bias
        self._weights = conv.weight.detach().permute(0, 2, 1).flatten(1)  # (C out, K C in), tap after tap
        norm = getattr(layer, "layer_norm", nn.Identity())
        self._norm = partial(_over_time, norm) if isinstance(norm, nn.GroupNorm) else norm
        self._activation: nn.Module = layer.activation

    def __call__(self, hidden: Tensor) -> Tensor:
        """(T, C in) -> (T', C out)."""
        return self._activation(self._norm(self._convolve(hidden)))

    def _convolve(self, hidden: Tensor) -> Tensor:
        """As many taps at once as the stride is wide: then windows don't overlap, and their rows lie side by side."""
        channels, times = hidden.shape[1], (len(hidden) - self._kernel) // self._stride + 1
        if channels == 1:
            return linear(hidden[:, 0].unfold(0, self._kernel, self._stride), self._weights, self._bias)
        found: Tensor | None = None
        for first in range(0, self._kernel, self._stride):
            taps = slice(first * channels, min(first + self._stride, self._kernel) * channels)
            size, strides = (times, taps.stop - taps.start), (self._stride * channels, 1)
            rows, weights = hidden.as_strided(size, strides, taps.start), self._weights[:, taps]
            found = linear(rows, weights, self._bias) if found is None else found.addmm_(rows, weights.T)
        assert found is not None
        return found


def _over_time(norm: nn.GroupNorm, hidden: Tensor) -> Tensor:
    """(T, C) -> (T, C), in place: group norm with a group for each channel, as all families have it."""
    centred = hidden.sub_(hidden.mean(0))
    scale = (centred.square().mean(0) + norm.eps).rsqrt() * norm.weight
    return torch.addcmul(norm.bias, centred, scale, out=centred)
