"""The distillation loss: its scale, what it ignores, and that it can be learned."""

import numpy as np
import pytest
import torch

from aftertone_model.pretraining.distillation import Regression

RATIO, WIDTH, TARGETS = 2, 8, 5


def embeddings(seed: int, count: int = 12) -> np.ndarray:
    scale = np.array([0.5, 1.0, 2.0, 3.0, 4.0])  # targets of any size count the same
    return (np.random.default_rng(seed).normal(size=(count, TARGETS)) * scale).astype(np.float16)


@pytest.fixture
def distillation() -> Regression:
    torch.manual_seed(0)
    return Regression(WIDTH, RATIO, [embeddings(seed) for seed in range(50)])


def test_a_constant_predictor_of_the_mean_has_an_error_of_about_two(distillation: Regression) -> None:
    for head in (distillation.frame_head, distillation.clip_head):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    lengths = torch.full((20,), 24)
    loss = distillation(torch.randn(20, 24, WIDTH), lengths, [embeddings(seed) for seed in range(20)])
    assert loss.item() == pytest.approx(2.0, abs=0.4)


def test_what_lies_beyond_a_clip_has_no_influence(distillation: Regression) -> None:
    hidden, lengths = torch.randn(2, 24, WIDTH), torch.tensor([24, 14])
    targets = [embeddings(0), embeddings(1, 7)]
    loss = distillation(hidden, lengths, targets)
    hidden[1, 14:] = torch.nan
    torch.testing.assert_close(distillation(hidden, lengths, targets), loss)


def test_a_linear_teacher_is_learned(distillation: Regression) -> None:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(10, 24, WIDTH, generator=generator)
    pooled = hidden.unflatten(1, (12, RATIO)).mean(2)  # (10, 12, D)
    targets = [(clip @ torch.randn(WIDTH, TARGETS, generator=torch.Generator().manual_seed(2))).half().numpy()
               for clip in pooled]  # fmt: skip
    learner = Regression(WIDTH, RATIO, targets)
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.05)
    lengths = torch.full((10,), 24)
    losses = []
    for _ in range(100):
        loss = learner(hidden, lengths, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
