import numpy as np
import pytest
import torch

from aftertone_model.backbones.encoder import Encoder
from aftertone_model.classification.classifier import (
    class_names,
    clip_features,
    dropout_masks,
    embed,
    load_classifier,
    new_classifier,
    sampled_logits,
    standardise,
)
from aftertone_model.data.batches import pad
from aftertone_model.errors import BackboneError
from aftertone_model.labels import SingleChoice
from tests.backbones import small

SCHEMA = SingleChoice(classes=("low", "middle", "high"))


def waves(count=3, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=4000 + 1500 * i).astype(np.float32) * 0.1 for i in range(count)]


def logits(classifier, frames):
    with torch.no_grad():
        return classifier.classifier(embed(classifier, clip_features(classifier, *pad(frames))))  # (B, C)


@pytest.mark.parametrize("mix", [True, False])
@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("stable", [True, False])
def test_logits_equal_those_of_the_plain_transformers_model(mix, norm, stable):
    backbone = small(feat_extract_norm=norm, do_stable_layer_norm=stable)
    classifier = new_classifier(backbone, SCHEMA, mix_layers=mix, seed=1)
    found = logits(classifier, [backbone.encode(wave) for wave in waves()])
    for row, wave in enumerate(waves()):
        normal = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
        with torch.no_grad():
            expected = classifier(torch.from_numpy(normal)[None]).logits[0]
        assert found[row].numpy() == pytest.approx(expected.numpy(), abs=2e-3)  # cached frames are float16


def test_a_mixture_reads_every_layer_but_not_the_transformers_input(backbone):
    classifier = new_classifier(backbone, SCHEMA, mix_layers=True, seed=0)
    shares = classifier.layer_weights.softmax(dim=0).tolist()
    assert shares == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


def test_the_backbone_is_not_shared(backbone):
    before = {name: weight.clone() for name, weight in backbone.model.state_dict().items()}
    classifier = new_classifier(backbone, SCHEMA, mix_layers=False, seed=0)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.zero_()
    assert all(torch.equal(weight, before[name]) for name, weight in backbone.model.state_dict().items())


def test_the_seed_decides_the_head(backbone):
    weights = [new_classifier(backbone, SCHEMA, mix_layers=False, seed=s).classifier.weight for s in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("mix", [True, False])
def test_standardised_embeddings_have_mean_0_and_variance_1(backbone, mix):
    classifier = new_classifier(backbone, SCHEMA, mix_layers=mix, seed=0)
    features = torch.randn(50, 4 if mix else 1, 4 * 32, generator=torch.Generator().manual_seed(0)) * 5 + 2
    standardise(classifier, features)
    with torch.no_grad():
        embeddings = embed(classifier, features)
    assert embeddings.mean(dim=0).numpy() == pytest.approx(np.zeros(32), abs=1e-4)
    assert embeddings.std(dim=0, correction=0).numpy() == pytest.approx(np.ones(32), abs=1e-4)


def test_dropout_samples_are_the_head_under_shared_masks(backbone):
    classifier = new_classifier(backbone, SCHEMA, mix_layers=False, seed=0)
    embeddings = np.random.default_rng(0).normal(size=(5, 32)).astype(np.float32)
    found = sampled_logits(classifier, torch.from_numpy(embeddings), dropout_masks(4, 32, 0.5, seed=3)).numpy()
    masks = (np.random.default_rng(3).random((4, 32)) >= 0.5) / 0.5
    weight, bias = classifier.classifier.weight.detach().numpy(), classifier.classifier.bias.detach().numpy()
    expected = (embeddings[:, None] * masks) @ weight.T + bias  # (N, K, C)
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_clips_dropout_samples_do_not_depend_on_the_others(backbone):
    classifier = new_classifier(backbone, SCHEMA, mix_layers=False, seed=0)
    embeddings = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 32)).astype(np.float32))
    keep = dropout_masks(4, 32, 0.2, seed=3)
    together, alone = (sampled_logits(classifier, rows, keep) for rows in (embeddings, embeddings[2:3]))
    assert alone[0].numpy() == pytest.approx(together[2].numpy(), abs=1e-6)


def test_features_are_mean_and_deviation_over_a_clips_own_frames_and_what_they_change(backbone):
    classifier = new_classifier(backbone, SCHEMA, mix_layers=True, seed=0)
    frames = torch.randn(2, 20, backbone.config.conv_dim[-1], generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([20, 13])
    with torch.no_grad():
        features = clip_features(classifier, frames, lengths)
        layers = Encoder(classifier).layers(frames, lengths)
    for row, length in enumerate(lengths.tolist()):
        for number, layer in enumerate(layers):
            own = layer[row, :length]
            whole, first, second = (
                torch.cat([part.mean(0), part.std(0, correction=0)])
                for part in (own, own[: length // 2], own[-(length // 2) :])
            )
            expected = torch.cat([whole, (second - first) / 2])
            torch.testing.assert_close(features[row, number], expected, atol=1e-3, rtol=1e-3)


def test_saved_and_loaded_it_is_the_same(backbone, folder):
    classifier = new_classifier(backbone, SCHEMA, mix_layers=True, seed=0)
    classifier.save_pretrained(folder)
    loaded = load_classifier(folder)
    assert class_names(loaded) == SCHEMA.classes
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), classifier.parameters(), strict=True))


def test_a_missing_folder_says_what_to_do(folder):
    with pytest.raises(BackboneError, match="Train a round again"):
        load_classifier(folder)
