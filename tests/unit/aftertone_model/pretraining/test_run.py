"""TAPT: what it learns, that it says so when it doesn't, and that a kill changes nothing."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.config import TAPT_PROFILES
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.pretraining import run
from aftertone_model.pretraining.contrastive import Contrastive
from aftertone_model.pretraining.objective import MaskedBatch, Term
from aftertone_model.pretraining.record import read_adaptation
from aftertone_model.pretraining.run import adapt, split
from aftertone_model.pretraining.trainer import Pretrainer, StepReport
from aftertone_model.runtime import Runtime
from tests.backbones import small

QUICK = replace(
    TAPT_PROFILES["from-scratch"], learning_rate=3e-3, batch_seconds=3.0, passes=15.0, validations=4, mask_span=1
)


def small_backbone(seed: int = 0) -> Backbone:
    """Its CNN averages over time, so that a frame can be told from its neighbours."""
    backbone = small(
        seed=seed,
        conv_dim=(32, 32),
        conv_kernel=(80, 64),
        num_hidden_layers=2,
        num_conv_pos_embeddings=8,
        num_codevectors_per_group=32,
    )
    backbone.random_codes = True
    with torch.no_grad():
        weight = backbone.body.feature_extractor.conv_layers[1].get_parameter("conv.weight")
        weight.copy_(8 * weight.mean(-1, keepdim=True))
    return backbone


def glide(seed: int, seconds: float = 1.0) -> NDArray[np.float32]:
    """A tone that glides between random pitches: what is masked can be told from what is around it."""
    rng = np.random.default_rng(seed)
    samples = round(16_000 * seconds)
    hertz = np.interp(np.arange(samples), np.linspace(0, samples, 5), rng.uniform(100, 3_000, 5))
    return (0.5 * np.sin(2 * np.pi * np.cumsum(hertz) / 16_000)).astype(np.float32)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small gains nothing from a second thread, and waits for it where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return Pool(tmp_path / "pool")


@pytest.fixture
def clips(pool: Pool) -> list[Clip]:
    return [pool.add(glide(seed)) for seed in range(16)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_backbone(str(folder)).model.state_dict()


def test_adapts_a_copy_and_leaves_a_whole_folder(pool: Pool, clips: list[Clip], tmp_path: Path) -> None:
    backbone, folder = small_backbone(), tmp_path / "adapted"
    before = {name: weight.clone() for name, weight in backbone.model.state_dict().items()}
    stages: set[str] = set()
    adaptation = adapt(
        backbone, clips, QUICK, folder, Runtime(pool=pool, progress=lambda stage, _done, _total: stages.add(stage))
    )

    assert adaptation.kept, adaptation.reason
    assert [point.warming for point in adaptation.curve[:3]] == [True, False, False]  # its quantiser was fresh
    start, best = adaptation.curve[1], min(adaptation.curve, key=lambda point: point.objective)
    assert start.step == 6
    assert best.objective < 0.9 * start.objective
    assert f"fell from {start.objective:.3f} to {best.objective:.3f}" in adaptation.reason
    assert adaptation.held_out == 4
    assert adaptation.seconds_of_audio == pytest.approx(12.0)
    assert adaptation.mask_ratio == pytest.approx(0.15, abs=0.01)
    assert stages == {"extract", "adapt", "validate"}

    assert read_adaptation(folder) == adaptation
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("adapted")] == ["adapted"]
    after = weights(folder)
    changed = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert "wav2vec2.encoder.layers.0.attention.q_proj.weight" in changed
    assert not any(name.startswith("wav2vec2.feature_extractor") for name in changed)
    assert all(torch.equal(weight, backbone.model.state_dict()[name]) for name, weight in before.items())

    assert (
        adapt(backbone, clips, QUICK, folder, Runtime(pool=pool, progress=lambda *_: pytest.fail("worked again")))
        == adaptation
    )


def test_same_seed_same_weights_in_any_order_of_clips_and_another_seed_others(
    pool: Pool, clips: list[Clip], tmp_path: Path
) -> None:
    for name, order, seed in (("a", clips, 0), ("b", clips[::-1], 0), ("c", clips, 1)):
        adapt(small_backbone(), order, QUICK, tmp_path / name, Runtime(pool=pool, seed=seed))
    first, again, other = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())
    assert not all(torch.equal(weight, other[name]) for name, weight in first.items())


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
sys.path[:0] = [os.getcwd(), {tests!r}]
from test_run import QUICK, small_backbone
from aftertone_model.data.pool import Pool
from aftertone_model.pretraining.run import adapt, split

from aftertone_model.runtime import Runtime

torch.set_num_threads(1)

def kill(stage, done, total):
    if stage == "adapt" and done == 18:
        os.kill(os.getpid(), signal.SIGKILL)

pool = Pool(Path({pool!r}))
clips = [pool.clip(clip) for clip in {clips!r}]
adapt(small_backbone(), clips, QUICK, Path({folder!r}), Runtime(pool=pool, progress=kill))
"""


def test_a_killed_run_goes_on_to_the_same_result(pool: Pool, clips: list[Clip], tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    script = KILLED.format(
        tests=str(Path(__file__).parent), pool=str(pool.folder), clips=[clip.id for clip in clips], folder=str(killed)
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert not killed.exists()

    steps: list[int] = []

    def watch(stage: str, done: int, _total: int) -> None:
        if stage == "adapt":
            steps.append(done)

    resumed = adapt(small_backbone(), clips, QUICK, killed, Runtime(pool=pool, progress=watch))
    assert steps[0] == 16  # validated, and so kept, at step 15
    uninterrupted = adapt(small_backbone(), clips, QUICK, whole, Runtime(pool=pool))
    assert resumed.mask_ratio == uninterrupted.mask_ratio
    assert [point.step for point in resumed.curve] == [point.step for point in uninterrupted.curve]
    for point, other in zip(resumed.curve, uninterrupted.curve, strict=True):
        assert point.objective == pytest.approx(other.objective, abs=1e-4)
    after = weights(killed)
    for name, weight in weights(whole).items():  # sums on several threads differ in their last digits
        torch.testing.assert_close(after[name], weight, atol=1e-4, rtol=1e-4, msg=name)


def test_cancelling_leaves_no_folder_and_other_arguments_start_afresh(
    pool: Pool, clips: list[Clip], tmp_path: Path
) -> None:
    class Cancelled(Exception):
        pass

    def cancel(stage: str, done: int, _total: int) -> None:
        if stage == "adapt" and done == 16:
            raise Cancelled

    folder = tmp_path / "adapted"
    with pytest.raises(Cancelled):
        adapt(small_backbone(), clips, QUICK, folder, Runtime(pool=pool, progress=cancel))
    assert not folder.exists()
    firsts: list[int] = []
    adapt(
        small_backbone(),
        clips,
        replace(QUICK, passes=1.0),
        folder,
        Runtime(pool=pool, progress=lambda _, done, __: firsts.append(done)),
    )
    assert 1 in firsts


def test_collapsed_codes_keep_the_backbone_unadapted(pool: Pool, clips: list[Clip], tmp_path: Path) -> None:
    backbone = small_backbone()
    config = backbone.config
    with torch.no_grad():  # every frame takes the first entry of both codebooks
        backbone.model.get_parameter("quantizer.weight_proj.weight").zero_()
        backbone.model.get_parameter("quantizer.weight_proj.bias")[:: config.num_codevectors_per_group] = 1e4
    backbone.random_codes = False
    adaptation = adapt(backbone, clips, QUICK, tmp_path / "adapted", Runtime(pool=pool))
    assert not adaptation.kept
    assert "stays unadapted" in adaptation.reason
    assert "the codes collapsed to 3% of their maximal perplexity at step 15" in adaptation.reason
    assert adaptation.steps == 15
    after = weights(tmp_path / "adapted")
    assert all(torch.equal(weight, after[name]) for name, weight in backbone.model.state_dict().items())


def pretrained() -> Backbone:
    """Its checkpoint has a quantiser, whose codes are all in use."""
    backbone = small_backbone()
    backbone.random_codes = False
    return backbone


def test_a_loss_that_falls_because_codes_collapse_keeps_the_backbone_unadapted(
    pool: Pool, clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negatives of the positive's own code are left out, so that few codes alone make its task easier."""
    taught = Pretrainer.step

    def forget(trainer: Pretrainer, number: int, batch: NDArray[np.int64]) -> StepReport:
        report = taught(trainer, number, batch)
        bias = trainer.backbone.model.get_parameter("quantizer.weight_proj.bias")
        with torch.no_grad():  # every frame takes the first entry
            bias.view(2, -1)[:, 1:] = -1e4
        return report

    monkeypatch.setattr(Pretrainer, "step", forget)
    monkeypatch.setattr(run, "COLLAPSED", 0.0)  # the loss itself must tell
    settings = replace(QUICK, learning_rate=1e-30)
    adaptation = adapt(pretrained(), clips, settings, tmp_path / "adapted", Runtime(pool=pool))
    assert adaptation.curve[-1].perplexity < adaptation.curve[0].perplexity
    assert not adaptation.kept, adaptation.reason


def test_steps_without_a_gradient_are_skipped_and_counted(
    pool: Pool, clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Contrastive.forward
    broken: list[int] = []

    def at_times(objective: Contrastive, batch: MaskedBatch) -> dict[str, Term]:
        terms = forward(objective, batch)
        if objective.training:
            broken.append(len(broken))
            if len(broken) in (3, 20):
                terms["contrastive"] = terms["contrastive"]._replace(value=terms["contrastive"].value * torch.nan)
        return terms

    monkeypatch.setattr(Contrastive, "forward", at_times)
    adaptation = adapt(small_backbone(), clips, QUICK, tmp_path / "adapted", Runtime(pool=pool))
    assert adaptation.kept, adaptation.reason
    assert (adaptation.steps, adaptation.skipped) == (60, 2)
    assert all(weight.isfinite().all() for weight in weights(tmp_path / "adapted").values())


def test_too_many_broken_steps_end_the_run(
    pool: Pool, clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Contrastive.forward

    def broken(objective: Contrastive, batch: MaskedBatch) -> dict[str, Term]:
        terms = forward(objective, batch)
        lost = terms["contrastive"]._replace(value=terms["contrastive"].value * torch.nan)
        return {**terms, "contrastive": lost} if objective.training else terms

    monkeypatch.setattr(Contrastive, "forward", broken)
    adaptation = adapt(pretrained(), clips, QUICK, tmp_path / "adapted", Runtime(pool=pool))
    assert not adaptation.kept
    assert (adaptation.steps, adaptation.skipped) == (11, 11)
    assert "the gradient was not a number in 11 steps" in adaptation.reason


@pytest.mark.parametrize("fresh", [True, False])
def test_new_heads_learn_alone_at_first_and_ten_times_as_fast(pool: Pool, clips: list[Clip], fresh: bool) -> None:
    backbone = pretrained()
    backbone.random_codes = fresh
    settings = replace(QUICK, head_rate=10.0, diversity_weight=0.0, weight_decay=0.0)
    trainer = Pretrainer(backbone, clips[4:], clips[:4], settings, Runtime(pool=pool))
    trainer.settle()
    before = {name: weight.detach().clone() for name, weight in trainer.weights().items()}
    batches = trainer.schedule()
    for number in range(6):  # a tenth of the steps
        trainer.step(number, next(batches))
    moved = {name for name, weight in trainer.weights().items() if not torch.equal(weight, before[name])}
    body = {name for name in before if name.startswith("backbone.wav2vec2.")}
    assert trainer.warm_up == (6 if fresh else 0)
    assert bool(moved & body) is not fresh  # a checkpoint's own heads teach the body from the first step on
    assert "objectives.0.head.weight" in moved
    assert {group["lr"] for group in trainer._optimizer.param_groups} == {3e-3, 3e-2}  # pyright: ignore[reportPrivateUsage]


def test_no_gain_stops_early_and_keeps_the_backbone_unadapted(pool: Pool, clips: list[Clip], tmp_path: Path) -> None:
    settings = replace(QUICK, learning_rate=1e-30, validations=20, patience=2)
    adaptation = adapt(pretrained(), clips, settings, tmp_path / "adapted", Runtime(pool=pool))
    assert not adaptation.kept
    assert "no better" in adaptation.reason
    assert "the last 2 validations were no better" in adaptation.reason
    assert len(adaptation.curve) == 3


def test_too_few_clips_keep_the_backbone_unadapted(pool: Pool, tmp_path: Path) -> None:
    clips = [pool.add(glide(seed)) for seed in range(5)] + [pool.add(glide(seed, 0.2)) for seed in range(9)]
    adaptation = adapt(small_backbone(), clips, QUICK, tmp_path / "adapted", Runtime(pool=pool))
    assert not adaptation.kept
    assert "fewer than 8 clips last 0.5 s or longer" in adaptation.reason
    assert adaptation.curve == ()
    assert load_backbone(str(tmp_path / "adapted"))


def test_long_clips_are_cropped_and_unequal_lengths_mixed(pool: Pool, tmp_path: Path) -> None:
    clips = [pool.add(glide(seed, 0.6 + seed / 4)) for seed in range(10)]
    settings = replace(QUICK, batch_seconds=6.0, crop_seconds=1.0, passes=1.0, validations=1)
    assert adapt(small_backbone(), clips, settings, tmp_path / "adapted", Runtime(pool=pool)).steps == 1


def test_held_out_clips_depend_on_the_seed_alone() -> None:
    clips = [Clip(id=f"{i:03}", seconds=0.4 + (i % 7) / 10) for i in range(2_000)]
    training, held_out = split(clips, 0)
    assert (training, held_out) == split(clips[::-1], 0)
    assert held_out != split(clips, 1)[1]
    assert len(held_out) == 34
    assert {clip.id for clip in training + held_out} == {clip.id for clip in clips if clip.seconds >= 0.5}
    assert len({clip.id for clip in training + held_out}) == len(training) + len(held_out)


def test_a_backbones_config_names_the_settings_that_suit_it_wherever_it_is_copied(tmp_path: Path) -> None:
    for name, profile in (("tiny", "from-scratch"), ("aftertone-mini", "brief")):
        backbone = load_backbone(name)
        assert backbone.tapt_profile == profile
        backbone.save(tmp_path / name)
        assert load_backbone(str(tmp_path / name)).tapt_profile == profile
    small_backbone().save(tmp_path / "other")
    assert load_backbone(str(tmp_path / "other")).tapt_profile == "standard"


def test_growth_calls_for_another_run(pool: Pool, clips: list[Clip], tmp_path: Path) -> None:
    adaptation = adapt(small_backbone(), clips[:5], QUICK, tmp_path / "adapted", Runtime(pool=pool))
    assert not adaptation.outgrown_by(7, share=0.5)
    assert adaptation.outgrown_by(8, share=0.5)
