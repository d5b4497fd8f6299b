"""Memory that runs out: less audio at once, to the same result; said in the log, and refused where nothing helps."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from aftertone_model.backbones.activations import CPU_BYTES, bytes_per_second, recompute, training_portion
from aftertone_model.backbones.backbone import Backbone
from aftertone_model.classification import scoring
from aftertone_model.classification import trainer as fine_tuning
from aftertone_model.classification.finetune import finetune
from aftertone_model.classification.scoring import score
from aftertone_model.config import PRACTICAL, PretrainingConfig, Stage, Tuning
from aftertone_model.errors import OutOfMemoryError
from aftertone_model.labels import SingleChoice
from aftertone_model.memory import Portion, memory_ran_out
from aftertone_model.pretraining import trainer as pretraining
from aftertone_model.pretraining.trainer import Pretrainer
from aftertone_model.runtime import Runtime
from tests.backbones import CLASSES, drawn, of_class

SCHEMA = SingleChoice(classes=("low", "middle", "high"))
CONFIG = PretrainingConfig(units=16, mask_span=1, batch_seconds=8.0)
STEADY = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "layerdrop": 0.0}


def steady(name: str) -> Backbone:
    """Without dropout, whose draws differ between a batch and its parts."""
    backbone = of_class(name)
    kind, config = type(backbone.model), backbone.config
    for field, value in STEADY.items():
        setattr(config, field, value)
    config.feat_proj_dropout = 0.0
    return drawn(kind, config)


def short_of_memory(most: int, compute: Callable[..., Any], batch: Callable[..., int]) -> Callable[..., Any]:
    """`compute`, in a machine that has room for so many clips."""

    def limited(*arguments: Any, **named: Any) -> Any:
        if batch(*arguments) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return compute(*arguments, **named)

    return limited


def test_the_allocators_own_errors_are_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert memory_ran_out(caught.value)
    assert memory_ran_out(torch.OutOfMemoryError("CUDA out of memory."))
    assert not memory_ran_out(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_parts_are_halved_until_they_fit_and_stay_so(caplog: pytest.LogCaptureFixture) -> None:
    seconds, tried = [3.0, 1.0, 2.0, 2.5], []

    def compute(parts: Any) -> list[list[int]]:
        tried.append([part.tolist() for part in parts])
        if max(map(len, parts)) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return tried[-1]

    portion = Portion(math.inf, "a test")
    assert portion.run(seconds, compute) == [[0], [3], [2], [1]]
    assert tried[0] == [[0, 1, 2, 3]]
    assert "Memory ran out in a test (CUDA out of memory.): tried again with 6 s of audio at once" in caplog.text
    before = len(tried)
    portion.run(seconds, compute)
    assert len(tried) == before + 1


def test_a_clip_that_does_not_fit_alone_says_what_to_do() -> None:
    def fail(_parts: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    saved = iter([True, False])
    with pytest.raises(OutOfMemoryError, match=r"a single clip of 2\.0 s \(CUDA out of memory\.\)\. Set a smaller"):
        Portion(10.0, "a test", save=lambda: next(saved)).run([2.0], fail)
    assert next(saved, None) is None  # what saves memory was tried first
    with pytest.raises(ValueError, match="no memory"):
        Portion(10.0, "a test").run([2.0], lambda _: (_ for _ in ()).throw(ValueError("no memory")))


@pytest.mark.parametrize("name", CLASSES)
def test_activations_computed_twice_give_the_same_gradients(name: str) -> None:
    gradients = []
    for twice in (False, True):
        backbone = steady(name)
        if twice:
            assert recompute(backbone)
            assert not recompute(backbone)
        backbone.model.train()
        frames = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 30, 16)).astype(np.float32))
        last, layers = backbone.contextualise_by_layer(frames, torch.tensor([30, 20]))
        (last[:, :20].square().mean() + layers[0][:, :20].mean()).backward()
        gradients.append({n: p.grad for n, p in backbone.body.named_parameters() if p.grad is not None})
    for weight, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][weight], gradient, msg=weight)


def test_what_is_too_large_for_a_pass_is_split_and_then_recomputed() -> None:
    backbone = of_class("hubert")
    portion = training_portion(backbone, 1.0, "a test")
    assert portion.seconds == pytest.approx(CPU_BYTES / bytes_per_second(backbone, 1.0))
    assert not backbone.model.is_activation_checkpointing
    config = backbone.config
    config.num_hidden_layers, config.hidden_size, config.intermediate_size = 48, 1_280, 5_120  # XLS-R 1B's
    assert bytes_per_second(backbone, 10.0, recomputed=True) < bytes_per_second(backbone, 10.0) / 10
    training_portion(backbone, 60.0, "a test")
    assert backbone.model.is_activation_checkpointing


@pytest.mark.parametrize("name", ["hubert", "wavlm-group-norm", "data2vec-audio"])
def test_a_step_of_tapt_in_parts_is_the_step_of_the_whole(
    name: str, tones: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool, clips, _ = tones
    start, found = steady(name), []
    for limited in (False, True):
        trainer = Pretrainer(start, clips[:12], clips[12:18], CONFIG, Runtime(pool=pool))
        trainer.settle()
        if limited:
            few = short_of_memory(5, pretraining.run_masked, lambda _, stretches, *__: len(stretches))
            monkeypatch.setattr(pretraining, "run_masked", few)
        reports = [trainer.step(number, np.arange(12)) for number in range(2)]
        validation = trainer.validate()
        found.append((reports, validation, trainer.weights()))
    (whole, checked, weights), (parts, checked_in_parts, others) = found
    assert "Memory ran out in TAPT" in caplog.text
    assert "Memory ran out in the validation of TAPT" in caplog.text
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one.loss, other.loss)
    assert checked_in_parts.losses["units"] == pytest.approx(checked.losses["units"], abs=1e-4)
    for weight, value in weights.items():
        torch.testing.assert_close(others[weight], value, atol=1e-4, rtol=1e-3, msg=weight)


def test_training_and_scoring_go_on_with_less_at_once(
    extracted: Any, backbone: Backbone, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool, clips, labels = extracted
    targets = np.array([labels[clip.id] for clip in clips[:20]])
    still = backbone.copy()
    for field, value in STEADY.items():
        setattr(still.config, field, value)
    config = replace(PRACTICAL, updates=3, epochs=1, dropout=0.0, standardise=False)
    runtime, stages, found = Runtime(pool=pool), [Stage(tuning=Tuning.FULL)], []
    for limited in (False, True):
        if limited:
            for module in (fine_tuning, scoring):
                few = short_of_memory(5, module.clip_features, lambda _, frames, *__: len(frames))
                monkeypatch.setattr(module, "clip_features", few)
        tuned = finetune(still, SCHEMA, clips[:20], targets, config, runtime, stages=stages)
        found.append((tuned.losses, score(tuned.classifier, clips, runtime).logits))
    assert "Memory ran out in training" in caplog.text
    assert "Memory ran out in scoring" in caplog.text
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-3)
    np.testing.assert_allclose(found[1][1], found[0][1], atol=2e-3)


def test_whatever_describes_clips_gets_fewer_of_them_at_once(
    extracted: Any, backbone: Backbone, caplog: pytest.LogCaptureFixture
) -> None:
    pool, clips, _ = extracted
    seen: list[int] = []

    def describe(frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        if len(frames) > 5:
            raise MemoryError
        assert frames.shape[:2] == (len(lengths), int(lengths.max()))
        return lengths

    for rows, lengths in scoring.in_portions(backbone, clips, Runtime(pool=pool), "score", describe):
        seen.extend(rows.tolist())
        assert len(lengths) == len(rows)
    assert sorted(seen) == list(range(len(clips)))
    assert "Memory ran out in scoring" in caplog.text


def test_an_update_whose_gradient_is_no_number_is_skipped_and_said(
    extracted: Any, backbone: Backbone, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool, clips, labels = extracted
    targets = np.array([labels[clip.id] for clip in clips[:20]])
    compute, calls = fine_tuning.clip_features, iter(range(1_000))

    def broken(*arguments: Any) -> torch.Tensor:
        features = compute(*arguments)
        return features * float("nan") if next(calls) in (0, 5) else features

    monkeypatch.setattr(fine_tuning, "clip_features", broken)
    config = replace(PRACTICAL, updates=40, epochs=1, encoder_rate=1e-3)
    stages = [Stage(tuning=Tuning.FULL)]
    tuned = finetune(backbone, SCHEMA, clips[:20], targets, config, Runtime(pool=pool), stages=stages)
    assert (tuned.updates, tuned.skipped) == (40, 2)
    assert "2 of 40 updates were skipped" in caplog.text
    assert tuned.train_accuracy > 0.9
    assert all(weight.isfinite().all() for weight in tuned.classifier.state_dict().values())
