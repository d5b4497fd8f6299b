"""The backbone: loading, and running in two halves what transformers runs in one, whatever shares the batch."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import (
    AutoFeatureExtractor,
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForPreTraining,
    Wav2Vec2ForSequenceClassification,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperModel,
)

from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.backbones.encoder import Encoder
from aftertone_model.backbones.tiny import tiny_config
from aftertone_model.data.batches import pad
from aftertone_model.errors import BackboneError
from tests.backbones import CLASSES, GROUP, SHAPE, STABLE, drawn, of_class


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


def random_model(config: Wav2Vec2Config) -> Backbone:
    return drawn(Wav2Vec2ForPreTraining, config)


MAKE = {
    **{name: partial(of_class, name) for name in CLASSES},
    "tiny": lambda: random_model(layer_norm_config()),
    "wav2vec2-base": lambda: random_model(group_norm_config()),
    # combinations that nobody published
    "hubert-stable-group-norm": lambda: drawn(HubertModel, HubertConfig(**SHAPE | GROUP | STABLE)),
    "hubert-layer-norm": lambda: drawn(HubertModel, HubertConfig(**SHAPE)),
    "wavlm-stable-group-norm": lambda: drawn(WavLMModel, WavLMConfig(**SHAPE | GROUP | STABLE)),
    "wavlm-layer-norm": lambda: drawn(WavLMModel, WavLMConfig(**SHAPE)),
}


@pytest.fixture(scope="module", params=MAKE)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return MAKE[request.param]()


@pytest.fixture(params=CLASSES)
def any_class(request: pytest.FixtureRequest) -> Backbone:
    return of_class(request.param)


def waveforms() -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    return [rng.normal(0.1, 0.2, round(16_000 * seconds)).astype(np.float32) for seconds in (0.4, 1.3, 0.7, 1.3)]


def normalised(waveform: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy((waveform - waveform.mean()) / waveform.std())[None]  # (1, S)


@torch.no_grad()
def test_two_halves_equal_the_models_own_forward(backbone: Backbone) -> None:
    waveform = waveforms()[1]
    whole = backbone.body(normalised(waveform), output_hidden_states=True)
    exact = backbone.body.feature_extractor(normalised(waveform)).transpose(1, 2)  # (1, T, C)
    length = torch.tensor([exact.shape[1]])
    torch.testing.assert_close(backbone.contextualise(exact, length), whole.last_hidden_state)

    cached = torch.from_numpy(backbone.encode(waveform))[None]
    torch.testing.assert_close(cached.float(), exact, atol=2e-3, rtol=2e-3)  # float16 keeps 11 bits
    halves = backbone.contextualise(cached, length)
    torch.testing.assert_close(halves, whole.last_hidden_state, atol=2e-2, rtol=1e-2)

    read, *layers = backbone.layers(exact, length)
    projected = backbone.body.feature_projection(exact)
    torch.testing.assert_close(read, projected[0] if isinstance(projected, tuple) else projected)
    assert len(layers) == backbone.config.num_hidden_layers
    for ours, theirs in zip(layers, whole.hidden_states[1:], strict=True):
        torch.testing.assert_close(ours, theirs)


@torch.no_grad()
def test_other_items_of_the_batch_and_their_order_change_nothing(backbone: Backbone) -> None:
    clips = [backbone.encode(waveform) for waveform in waveforms()]
    alone = [backbone.contextualise(*pad([clip]))[0] for clip in clips]
    for order in ([0, 1, 2, 3], [3, 0], [2, 1, 0], [1, 3]):
        together = backbone.contextualise(*pad([clips[i] for i in order]))
        for row, i in zip(together, order, strict=True):
            torch.testing.assert_close(row[: len(clips[i])], alone[i], atol=1e-4, rtol=0)


@torch.no_grad()
def test_masked_frames_are_hidden_from_the_transformer(backbone: Backbone) -> None:
    frames, lengths = pad([backbone.encode(waveforms()[1])])
    masked = torch.zeros(frames.shape[:2], dtype=torch.bool)
    masked[:, 10:20] = True
    changed = frames.clone()
    changed[:, 10:20] = 1.0
    first, second = (backbone.contextualise(x, lengths, masked=masked) for x in (frames, changed))
    torch.testing.assert_close(first, second)
    assert not torch.allclose(first, backbone.contextualise(frames, lengths))


@torch.no_grad()
def test_layers_of_a_batch_equal_the_models_own_forward_on_each_clip(backbone: Backbone) -> None:
    clips = [backbone.encode(waveform) for waveform in waveforms()]
    frames, lengths = pad(clips)
    together, layers = backbone.contextualise_by_layer(frames, lengths)
    for row, clip in enumerate(clips):
        cnn = torch.from_numpy(clip).float()[None].transpose(1, 2)  # (1, C, T) in place of what the CNN says
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(backbone.body.feature_extractor, "forward", lambda _, cnn=cnn: cnn)
            alone = backbone.body(normalised(waveforms()[row]), output_hidden_states=True)
        heard = slice(len(clip))
        torch.testing.assert_close(together[row, heard], alone.last_hidden_state[0], atol=1e-4, rtol=1e-4)
        for ours, theirs in zip(layers, alone.hidden_states[1:], strict=True):
            torch.testing.assert_close(ours[row, heard], theirs[0], atol=1e-4, rtol=1e-4)


def test_the_waveform_is_normalised_as_the_preprocessor_config_says(any_class: Backbone, tmp_path: Path) -> None:
    waveform = waveforms()[0]
    any_class.save(tmp_path / "yes")
    asked, silent = load_backbone(str(tmp_path / "yes")), any_class  # without a file, transformers' default counts
    assert np.array_equal(asked.encode(waveform), silent.encode(waveform))
    assert asked.fingerprint == silent.fingerprint

    any_class.model.save_pretrained(tmp_path / "no")
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path / "no")
    loaded = load_backbone(str(tmp_path / "no"))
    with torch.no_grad():
        exact = loaded.body.feature_extractor(torch.from_numpy(waveform)[None])[0].T.numpy()
    np.testing.assert_allclose(loaded.encode(waveform), exact, atol=2e-3, rtol=2e-3)
    assert loaded.fingerprint != asked.fingerprint  # other frames must not be taken for these
    loaded.save(tmp_path / "copy")
    copied = load_backbone(str(tmp_path / "copy"))
    assert np.array_equal(copied.encode(waveform), loaded.encode(waveform))
    assert AutoFeatureExtractor.from_pretrained(tmp_path / "copy").do_normalize is False


def test_a_model_that_hears_another_rate_is_refused(tmp_path: Path) -> None:
    of_class("hubert").model.save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(sampling_rate=8_000).save_pretrained(tmp_path)
    with pytest.raises(BackboneError, match="hears 8000 Hz"):
        load_backbone(str(tmp_path))


def test_a_clip_shorter_than_the_receptive_field_gives_a_frame(backbone: Backbone) -> None:
    assert backbone.encode(waveforms()[0][:100]).shape[0] == 1


def test_frames_beyond_float16_are_refused() -> None:
    backbone = random_model(group_norm_config())
    with torch.no_grad():
        backbone.body.feature_extractor.conv_layers[-1].conv.weight.mul_(1e9)
    with pytest.raises(BackboneError, match="float16"):
        backbone.encode(waveforms()[0])


def test_tiny_is_drawn_under_its_seed_and_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = load_backbone("tiny"), load_backbone("tiny"), load_backbone("tiny", seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not first.model.training
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), again.model.parameters(), strict=True))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert 4e6 < first.model.num_parameters() < 7e6


def test_the_fingerprint_names_the_cnn_alone() -> None:
    backbone = load_backbone("tiny")
    before = backbone.fingerprint
    with torch.no_grad():
        backbone.model.get_parameter("project_hid.weight").add_(1)
        backbone.body.encoder.layers[0].attention.q_proj.weight.add_(1)
    assert backbone.fingerprint == before
    with torch.no_grad():
        backbone.body.feature_extractor.conv_layers[0].conv.weight[0, 0, 0] += 1
    assert backbone.fingerprint != before


def test_a_saved_backbone_loads_as_it_was(tmp_path: Path) -> None:
    saved = random_model(layer_norm_config())
    saved.save(tmp_path)
    loaded = load_backbone(str(tmp_path), seed=5)
    for key, weight in saved.model.state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[key], weight, msg=key)


def test_a_folder_may_be_given_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    random_model(layer_norm_config()).save(tmp_path / "models" / "mine")
    assert load_backbone("~/models/mine").config.num_hidden_layers == 2
    for name in ("~/models/none", "~nobody-of-this-name/mine"):
        with pytest.raises(BackboneError, match="There is no folder"):
            load_backbone(name)


def test_a_checkpoint_without_quantiser_gets_a_fresh_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = layer_norm_config()
    config.mask_time_prob = 0.0  # such a checkpoint has no mask vector either
    saved = Wav2Vec2ForSequenceClassification(config)
    saved.save_pretrained(tmp_path)
    first, again, other = (load_backbone(str(tmp_path), seed=seed) for seed in (1, 1, 2))
    assert "no quantiser" in caplog.text
    assert first.fingerprint == Encoder(saved).fingerprint
    codes = [backbone.model.get_parameter("quantizer.codevectors") for backbone in (first, again, other)]
    assert torch.equal(codes[0], codes[1])
    assert torch.equal(first.body.masked_spec_embed, again.body.masked_spec_embed)
    assert not torch.equal(codes[0], codes[2])
    assert first.random_codes


def test_what_is_no_backbone_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="There is no folder"):
        load_backbone(str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackboneError, match="can't be loaded"):
        load_backbone(str(tmp_path / "empty"))
    whisper = WhisperConfig(d_model=12, encoder_layers=1, decoder_layers=1, vocab_size=60_000, num_mel_bins=8)
    WhisperModel(whisper).save_pretrained(tmp_path / "whisper")
    with pytest.raises(BackboneError, match="whisper model can't be a backbone; Aftertone takes wav2vec2, hubert"):
        load_backbone(str(tmp_path / "whisper"))


def test_a_checkpoint_that_lacks_layers_is_refused(tmp_path: Path) -> None:
    random_model(layer_norm_config()).save(tmp_path)
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
