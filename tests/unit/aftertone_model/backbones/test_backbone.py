"""The backbone: loading, and running in two halves what transformers runs in one, whatever shares the batch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import (
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2ForPreTraining,
    Wav2Vec2ForSequenceClassification,
)

from aftertone_model.backbones.backbone import (
    contextualise,
    contextualise_layers,
    encode_waveform,
    fingerprint,
    load_backbone,
)
from aftertone_model.backbones.tiny import tiny_config
from aftertone_model.data.batches import pad
from aftertone_model.errors import BackboneError


def group_norm_config() -> Wav2Vec2Config:
    """The shape of wav2vec2-base, small: group norm in the CNN, layer norm after each block."""
    return Wav2Vec2Config(
        conv_dim=(32, 32, 32),
        conv_kernel=(20, 8, 8),
        conv_stride=(10, 8, 4),
        feat_extract_norm="group",
        do_stable_layer_norm=False,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        num_conv_pos_embeddings=16,
    )


def layer_norm_config() -> Wav2Vec2Config:
    config = tiny_config()
    config.num_hidden_layers = 2
    return config


def random_model(config: Wav2Vec2Config) -> Wav2Vec2ForPreTraining:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Wav2Vec2ForPreTraining(config).eval()


@pytest.fixture(scope="module", params=[layer_norm_config, group_norm_config], ids=["layer-norm", "group-norm"])
def backbone(request: pytest.FixtureRequest) -> Wav2Vec2ForPreTraining:
    return random_model(request.param())


def waveforms() -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    return [rng.normal(0.1, 0.2, round(16_000 * seconds)).astype(np.float32) for seconds in (0.4, 1.3, 0.7, 1.3)]


def normalised(waveform: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy((waveform - waveform.mean()) / waveform.std())[None]  # (1, S)


@torch.no_grad()
def test_two_halves_equal_the_models_own_forward(backbone: Wav2Vec2ForPreTraining) -> None:
    waveform = waveforms()[1]
    whole = backbone.wav2vec2(normalised(waveform), output_hidden_states=True)
    exact = backbone.wav2vec2.feature_extractor(normalised(waveform)).transpose(1, 2)  # (1, T, C)
    length = torch.tensor([exact.shape[1]])
    torch.testing.assert_close(contextualise(backbone.wav2vec2, exact, length), whole.last_hidden_state)

    cached = torch.from_numpy(encode_waveform(backbone, waveform))[None]
    torch.testing.assert_close(cached.float(), exact, atol=2e-3, rtol=2e-3)  # float16 keeps 11 bits
    halves = contextualise(backbone.wav2vec2, cached, length)
    torch.testing.assert_close(halves, whole.last_hidden_state, atol=2e-2, rtol=1e-2)

    layers = contextualise_layers(backbone.wav2vec2, exact, length)
    assert len(layers) == backbone.config.num_hidden_layers
    for ours, theirs in zip(layers, whole.hidden_states[1:], strict=True):
        torch.testing.assert_close(ours, theirs)


@torch.no_grad()
def test_batch_mates_and_their_order_change_nothing(backbone: Wav2Vec2ForPreTraining) -> None:
    clips = [encode_waveform(backbone, waveform) for waveform in waveforms()]
    alone = [contextualise(backbone.wav2vec2, *pad([clip]))[0] for clip in clips]
    for order in ([0, 1, 2, 3], [3, 0], [2, 1, 0], [1, 3]):
        together = contextualise(backbone.wav2vec2, *pad([clips[i] for i in order]))
        for row, i in zip(together, order, strict=True):
            torch.testing.assert_close(row[: len(clips[i])], alone[i], atol=1e-4, rtol=0)


@torch.no_grad()
def test_masked_frames_are_hidden_from_the_transformer(backbone: Wav2Vec2ForPreTraining) -> None:
    frames, lengths = pad([encode_waveform(backbone, waveforms()[1])])
    masked = torch.zeros(frames.shape[:2], dtype=torch.bool)
    masked[:, 10:20] = True
    changed = frames.clone()
    changed[:, 10:20] = 1.0
    first, second = (contextualise(backbone.wav2vec2, x, lengths, masked=masked) for x in (frames, changed))
    torch.testing.assert_close(first, second)
    assert not torch.allclose(first, contextualise(backbone.wav2vec2, frames, lengths))


def test_a_clip_shorter_than_the_receptive_field_gives_a_frame(backbone: Wav2Vec2ForPreTraining) -> None:
    assert encode_waveform(backbone, waveforms()[0][:100]).shape[0] == 1


def test_frames_beyond_float16_are_refused() -> None:
    backbone = random_model(group_norm_config())
    with torch.no_grad():
        backbone.wav2vec2.feature_extractor.conv_layers[-1].conv.weight.mul_(1e9)
    with pytest.raises(BackboneError, match="float16"):
        encode_waveform(backbone, waveforms()[0])


def test_tiny_is_drawn_under_its_seed_and_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = load_backbone("tiny"), load_backbone("tiny"), load_backbone("tiny", seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not first.training
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert fingerprint(first) == fingerprint(again) != fingerprint(other)
    assert 4e6 < first.num_parameters() < 7e6


def test_the_fingerprint_names_the_cnn_alone() -> None:
    backbone = load_backbone("tiny")
    before = fingerprint(backbone)
    with torch.no_grad():
        backbone.project_hid.weight.add_(1)
        backbone.wav2vec2.encoder.layers[0].attention.q_proj.weight.add_(1)
    assert fingerprint(backbone) == before
    with torch.no_grad():
        backbone.wav2vec2.feature_extractor.conv_layers[0].conv.weight[0, 0, 0] += 1
    assert fingerprint(backbone) != before


def test_a_saved_backbone_loads_as_it_was(tmp_path: Path) -> None:
    saved = random_model(layer_norm_config())
    saved.save_pretrained(tmp_path)
    loaded = load_backbone(str(tmp_path), seed=5)
    for key, weight in saved.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], weight, msg=key)


def test_a_checkpoint_without_quantiser_gets_a_fresh_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = layer_norm_config()
    config.mask_time_prob = 0.0  # such a checkpoint has no mask vector either
    saved = Wav2Vec2ForSequenceClassification(config)
    saved.save_pretrained(tmp_path)
    first, again, other = (load_backbone(str(tmp_path), seed=seed) for seed in (1, 1, 2))
    assert "no quantiser" in caplog.text
    assert fingerprint(first) == fingerprint(saved)
    assert torch.equal(first.quantizer.codevectors, again.quantizer.codevectors)
    assert torch.equal(first.wav2vec2.masked_spec_embed, again.wav2vec2.masked_spec_embed)
    assert not torch.equal(first.quantizer.codevectors, other.quantizer.codevectors)


def test_what_is_no_wav2vec2_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="There is no folder"):
        load_backbone(str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackboneError, match="can't be loaded"):
        load_backbone(str(tmp_path / "empty"))
    hubert = HubertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    HubertModel(hubert).save_pretrained(tmp_path / "hubert")
    with pytest.raises(BackboneError, match="is a hubert model"):
        load_backbone(str(tmp_path / "hubert"))


def test_a_checkpoint_that_lacks_layers_is_refused(tmp_path: Path) -> None:
    random_model(layer_norm_config()).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["num_hidden_layers"] = 3
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(BackboneError, match="lacks 16 weights"):
        load_backbone(str(tmp_path))


def test_an_unreachable_hub_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_args: object, **_kwargs: object) -> None:
        raise OSError("We couldn't connect to 'https://huggingface.co'.")

    monkeypatch.setattr("aftertone_model.backbones.backbone.AutoConfig.from_pretrained", unreachable)
    with pytest.raises(BackboneError, match="download the model elsewhere and set the backbone to its folder"):
        load_backbone("facebook/wav2vec2-base")
