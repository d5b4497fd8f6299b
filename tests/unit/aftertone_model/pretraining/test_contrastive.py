"""The objective: equal to transformers' own, to hand-computed cases, and for each clip the same in any company."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.pretraining import objective
from aftertone_model.pretraining.contrastive import (
    compare,
    contrastive_loss,
    diversity_loss,
    masked_mean,
    perplexity,
    reconstruction_loss,
)
from aftertone_model.pretraining.masking import Masks, clip_generator, deal_spans, draw_masks, draw_spans
from aftertone_model.pretraining.objective import run_masked
from tests.backbones import small

SPANS = {"ratio": 0.4, "span": 4, "negatives": 7}


def small_backbone(entries: int = 4) -> Backbone:
    """So few codes that negatives with the positive's own code are common."""
    dropouts = ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "layerdrop")
    return small(num_codevectors_per_group=entries, **dict.fromkeys(dropouts, 0.0))


def waveforms(clips: int = 3) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(clips, 16_000)).astype(np.float32))  # (B, S)


def cnn_frames(backbone: Backbone, waves: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        frames = backbone.body.feature_extractor(waves).transpose(1, 2)  # (B, T, C)
    return frames, torch.full((len(frames),), frames.shape[1])


def masks_of(lengths: Tensor) -> Masks:
    return draw_masks(lengths, [np.random.default_rng(row) for row in range(len(lengths))], **SPANS)


def as_transformers_takes_them(masks: Masks, time: int) -> dict[str, Tensor]:
    """The same masks and negatives as (B, T) and as (B, T, K) numbers of frames in the whole batch."""
    negatives = torch.zeros(len(masks.positions), time, masks.negatives.shape[-1], dtype=torch.int64)
    for row, (positions, valid) in enumerate(zip(masks.positions, masks.valid, strict=True)):
        kept = positions[valid]
        negatives[row, kept] = row * time + positions[masks.negatives[row, valid]]
    return {"mask_time_indices": masks.spread(time), "sampled_negative_indices": negatives}


@torch.no_grad()
@pytest.mark.parametrize("entries", [4, 320])
def test_losses_equal_those_of_transformers(entries: int) -> None:
    backbone = small_backbone(entries)
    frames, lengths = cnn_frames(backbone, waveforms())
    masks = masks_of(lengths)
    theirs = backbone.model(waveforms(), **as_transformers_takes_them(masks, frames.shape[1]))
    losses, codes = compare(backbone, run_masked(backbone, [], frames, lengths, masks))
    count = masks.valid.sum()
    torch.testing.assert_close(losses.sum(), theirs.contrastive_loss)
    torch.testing.assert_close(diversity_loss(codes.soft, masks.valid) * count, theirs.diversity_loss)


def test_gradients_equal_those_of_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    """In train mode; the Gumbel noise, of which transformers draws more than we do, is left out on both sides."""

    def without_noise(logits: Tensor, tau: float, hard: bool) -> Tensor:
        assert hard
        soft = (logits / tau).softmax(-1)
        return functional.one_hot(soft.argmax(-1), soft.shape[-1]) - soft.detach() + soft

    monkeypatch.setattr(functional, "gumbel_softmax", without_noise)
    monkeypatch.setattr(objective, "transformer_in_bf16", lambda *_: False)  # transformers is run in float32 too
    backbone = small_backbone()
    model: Any = backbone.model.train()
    model.freeze_feature_encoder()
    frames, lengths = cnn_frames(backbone, waveforms())
    masks = masks_of(lengths)

    model(waveforms(), **as_transformers_takes_them(masks, frames.shape[1])).loss.backward()
    theirs = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad(set_to_none=True)

    losses, codes = compare(backbone, run_masked(backbone, [], frames, lengths, masks))
    diversity = diversity_loss(codes.soft, masks.valid) * masks.valid.sum()
    (losses.sum() + backbone.config.diversity_loss_weight * diversity).backward()
    ours = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}

    assert ours.keys() == theirs.keys()
    assert {"quantizer.codevectors", "quantizer.weight_proj.weight", "wav2vec2.masked_spec_embed"} <= ours.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, atol=2e-4, rtol=1e-3, msg=name)


def test_equation_1_by_hand() -> None:
    targets = torch.tensor(
        [[[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]]
    )  # lengths must not matter: the similarity is a cosine
    predicted = torch.tensor([[[5.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
    ids = torch.tensor([[[0], [1], [2]]])
    negatives = torch.tensor([[[1, 2], [0, 0], [0, 1]]])
    loss = contrastive_loss(predicted, targets, ids, negatives, kappa=0.5)
    e = math.exp
    expected = [
        -math.log(e(2) / (e(2) + e(0) + e(-2))),
        -math.log(e(2) / (e(2) + 2 * e(0))),
        -math.log(e(0) / (e(0) + e(0) + e(2))),
    ]
    torch.testing.assert_close(loss, torch.tensor([expected]))


def test_a_negative_with_the_positives_code_is_none() -> None:
    targets = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    ids = torch.tensor([[[3, 1], [3, 1], [3, 2]]])  # one code word is the choice in every codebook
    negatives = torch.tensor([[[1, 1], [0, 2], [0, 1]]])
    loss = contrastive_loss(targets, targets, ids, negatives, kappa=1.0)
    torch.testing.assert_close(loss[0, :2], torch.tensor([0.0, math.log(1 + math.exp(-1))]))


def test_equation_2_by_hand() -> None:
    logits = torch.tensor(
        [[[[math.log(3), 0.0], [0.0, 0.0]]]]
    )  # p = (3/4, 1/4) in one codebook, (1/2, 1/2) in the other
    torch.testing.assert_close(
        reconstruction_loss(logits, torch.tensor([[[0, 1]]])), torch.tensor([[-math.log(3 / 8)]])
    )
    losses, valid = torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[True, True, False]])
    assert masked_mean(losses, valid).item() == pytest.approx(1.5)  # 1 / N_m


def test_perplexity_and_diversity_by_hand() -> None:
    assert perplexity(torch.tensor([[5.0, 0.0], [1.0, 1.0]])).item() == pytest.approx(1 + 2)
    soft = torch.tensor([[[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.0, 1.0]]]])  # (1, 2, 2, 2)
    assert diversity_loss(soft, torch.tensor([[True, False]])).item() == pytest.approx((4 - 3) / 4)


@given(st.integers(4, 400), st.floats(0.01, 0.99), st.integers(1, 20), st.integers(0, 2**32))
def test_spans_mask_exactly_the_ratio(frames: int, ratio: float, span: int, seed: int) -> None:
    masked = draw_spans(frames, ratio, span, np.random.default_rng(seed))
    assert len(masked) == min(max(round(ratio * frames), 2), frames - 2)
    assert (np.diff(masked) > 0).all()
    assert masked[0] >= 0
    assert masked[-1] < frames


def test_every_frame_can_be_masked_and_spans_hold_together() -> None:
    drawn = [draw_spans(20, 0.3, 3, np.random.default_rng(seed)) for seed in range(500)]
    assert set(np.concatenate(drawn).tolist()) == set(range(20))
    runs = [len(run) for masked in drawn for run in np.split(masked, np.flatnonzero(np.diff(masked) > 1) + 1)]
    assert set(runs) == {3, 6}


@given(st.integers(4, 400), st.floats(0.05, 0.9), st.integers(1, 20), st.integers(0, 2**32))
def test_dealt_masks_hide_every_frame_once(frames: int, ratio: float, span: int, seed: int) -> None:
    dealt = deal_spans(frames, ratio, span, np.random.default_rng(seed))
    assert sorted(np.concatenate(dealt).tolist()) == list(range(frames))
    assert all(len(masked) >= 2 and (np.diff(masked) > 0).all() for masked in dealt)
    assert len(dealt) == max(2, min(round(1 / ratio), frames // 2))
    assert max(map(len, dealt)) - min(map(len, dealt)) <= span


def test_negatives_are_other_masked_frames_of_the_same_clip() -> None:
    masks = masks_of(torch.tensor([50, 11]))
    assert masks.valid.sum(1).tolist() == [20, 4]
    for row in range(2):
        count = int(masks.valid[row].sum())
        against = masks.negatives[row, :count]
        assert against.min() >= 0
        assert against.max() < count
        assert (against != torch.arange(count)[:, None]).all()
    assert masks.spread(50).sum(1).tolist() == [20, 4]


@torch.no_grad()
def test_a_clips_losses_are_its_own() -> None:
    backbone = small_backbone(320)
    frames, _ = cnn_frames(backbone, waveforms())
    clips = {"a": frames[0], "b": frames[1, :20], "c": frames[2, :31]}

    def losses_of(order: str) -> dict[str, Tensor]:
        lengths = torch.tensor([len(clips[name]) for name in order])
        batch = torch.nn.utils.rnn.pad_sequence([clips[name] for name in order], batch_first=True)
        masks = draw_masks(lengths, [clip_generator(3, name) for name in order], **SPANS)
        values, _ = compare(backbone, run_masked(backbone, [], batch, lengths, masks))
        assert (values[~masks.valid] == 0).all()
        return {name: values[row, masks.valid[row]] for row, name in enumerate(order)}

    alone = {name: losses_of(name)[name] for name in clips}
    for order in ("abc", "cb", "ca"):
        for name, values in losses_of(order).items():
            torch.testing.assert_close(values, alone[name], atol=1e-4, rtol=0)


def test_an_entry_that_no_frame_may_choose_gives_no_broken_gradient() -> None:
    soft = torch.tensor([[[[1.0, 0.0]]]], requires_grad=True)
    diversity_loss(soft, torch.ones(1, 1, dtype=torch.bool)).backward()
    assert soft.grad is not None
    assert soft.grad.isfinite().all()
