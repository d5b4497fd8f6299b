"""The bundled backbone: that it comes with the package, loads by its name, and is what its card says."""

import json

import numpy as np
import torch

from aftertone_model.backbone_names import MINI
from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.backbones.mini import FOLDER, PHASES, draw_mini, mini_config


def speechlike(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(scale=0.1, size=round(16_000 * seconds)).astype(np.float32)


def test_comes_with_the_package_in_half_precision_and_at_most_16_megabytes() -> None:
    weights = FOLDER / "model.safetensors"
    assert weights.stat().st_size <= 16_000_000
    assert (FOLDER / "README.md").is_file()
    from safetensors import safe_open

    with safe_open(weights, "pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118


def test_loads_by_its_name_and_runs_in_single_precision() -> None:
    backbone = load_backbone(MINI)
    assert backbone.model.dtype == torch.float32
    assert not backbone.model.training
    assert (backbone.tapt_profile, backbone.random_codes) == ("brief", False)
    frames = backbone.encode(speechlike(2.0))
    assert frames.shape == (47, mini_config().conv_dim[-1])  # 25 per second, less what the windows overhang
    hidden = backbone.contextualise(torch.from_numpy(frames)[None], torch.tensor([47]))
    assert hidden.shape == (1, 47, mini_config().hidden_size)
    assert torch.isfinite(hidden).all()


def test_has_been_pretrained_in_the_shape_that_the_code_draws() -> None:
    shipped = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    for key in ("conv_dim", "conv_kernel", "conv_stride", "hidden_size", "num_hidden_layers", "intermediate_size"):
        value = getattr(mini_config(), key)
        assert shipped[key] == (list(value) if isinstance(value, tuple) else value)
    drawn, trained = draw_mini(0).state_dict(), load_backbone(MINI).model.state_dict()
    assert drawn.keys() == trained.keys()
    assert not torch.equal(
        drawn["wav2vec2.encoder.layers.0.attention.q_proj.weight"],
        trained["wav2vec2.encoder.layers.0.attention.q_proj.weight"],
    )


def test_the_same_seed_draws_the_same_weights() -> None:
    first, again, other = (draw_mini(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())
    assert not all(torch.equal(weight, other[name]) for name, weight in first.items())


def test_filters_answer_to_their_own_pitch_in_any_phase() -> None:
    filters = draw_mini(0).wav2vec2.feature_extractor.conv_layers[0].get_parameter("conv.weight").detach()[:, 0]
    torch.testing.assert_close(filters.norm(dim=1), torch.ones(320))
    time = torch.arange(640) / 16_000
    for phase in (0.0, 1.0):
        tone = torch.sin(2 * np.pi * 1_000 * time + phase)
        answers = (filters @ tone).view(-1, PHASES).relu().sum(1)  # an envelope per centre frequency
        loudest = int(answers.argmax())
        low, high = 2_595 * np.log10(1 + np.array([60.0, 7_600.0]) / 700)
        centre = 700 * (10 ** (np.linspace(low, high, 80)[loudest] / 2_595) - 1)
        assert 800 < centre < 1_250
