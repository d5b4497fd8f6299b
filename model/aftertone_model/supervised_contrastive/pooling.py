"""Self-attention pooling, and the classifier above it (the paper's section 3.1, equation 1)."""

import torch
from torch import Tensor, nn


class SelfAttentionPooling(nn.Module):
    """C = softmax(W_c Hᵀ) H: a mean over time whose weights are learned (Safari, India and Hernando 2020)."""

    def __init__(self, width: int) -> None:
        """
        Args:
            width: D of the frames.
        """
        super().__init__()
        self.attention = nn.Linear(width, 1, bias=False)  # W_c; a bias would change nothing in a softmax

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, D) of frames (B, T, D); what lies beyond a clip's length (B,) has no influence."""
        inside = torch.arange(frames.shape[1], device=frames.device) < lengths.to(frames.device)[:, None]  # (B, T)
        scores = self.attention(torch.where(inside[..., None], frames, 0.0)).squeeze(-1)
        weights = scores.masked_fill(~inside, float("-inf")).softmax(dim=-1)  # (B, T)
        # where(): padding may be NaN, and 0 * NaN is NaN
        return (weights[:, None] @ torch.where(inside[..., None], frames, 0.0)).squeeze(1)


class PooledClassifier(nn.Module):
    """The pooling, and two fully connected layers with a ReLU between them."""

    def __init__(self, pooling: SelfAttentionPooling, hidden: int, classes: int) -> None:
        super().__init__()
        width = pooling.attention.in_features
        self.pooling, self.width, self.classes = pooling, width, classes
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, C) logits of frames (B, T, D) with lengths (B,)."""
        return self.layers(self.pooling(frames, lengths))
