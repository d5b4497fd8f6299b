import numpy as np
import pytest

from aftertone_model.classification.classifier import new_classifier
from aftertone_model.classification.layer_cache import LayerCache, same_body
from aftertone_model.classification.scoring import extract_features, score
from aftertone_model.data.pool import Pool
from aftertone_model.errors import DamagedFileError
from aftertone_model.labels import SingleChoice
from aftertone_model.learner import Learner
from aftertone_model.runtime import Runtime
from tests.backbones import small

SCHEMA = SingleChoice(classes=("low", "middle", "high"))


@pytest.fixture
def classifier(backbone):
    return new_classifier(backbone, SCHEMA, mix_layers=True, seed=0)


@pytest.fixture
def cache(backbone, folder):
    return LayerCache(folder, backbone)


def test_scores_are_the_same_with_and_without(classifier, extracted, cache):
    pool, clips, _ = extracted
    expected = score(classifier, clips, Runtime(pool=pool))
    for _ in range(2):  # filling it, then from it
        found = score(classifier, clips, Runtime(pool=pool), cache=cache)
        assert found.logits == pytest.approx(expected.logits, abs=1e-5)
        assert found.embeddings == pytest.approx(expected.embeddings, abs=1e-5)


def test_what_is_kept_is_not_computed_again(classifier, extracted, backbone, folder, tmp_path):
    pool, clips, _ = extracted
    extract_features(classifier, clips[:20], Runtime(pool=pool), cache=LayerCache(folder, backbone))
    empty = Pool(tmp_path / "no frames here")
    expected = extract_features(classifier, clips[:20][::-1], Runtime(pool=pool))
    found = extract_features(classifier, clips[:20][::-1], Runtime(pool=empty), cache=LayerCache(folder, backbone))
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    with pytest.raises(DamagedFileError):  # the empty pool has no audio to compute it from
        extract_features(classifier, clips[:21], Runtime(pool=empty), cache=LayerCache(folder, backbone))


def test_what_is_missing_is_added(classifier, extracted, cache):
    pool, clips, _ = extracted
    extract_features(classifier, clips[:7], Runtime(pool=pool), cache=cache)
    assert clips[6].id in cache
    assert clips[7].id not in cache
    extract_features(classifier, clips[5:9], Runtime(pool=pool), cache=cache)
    assert clips[8].id in cache


def test_a_block_without_its_index_does_not_count(classifier, extracted, backbone, folder):
    pool, clips, _ = extracted
    extract_features(classifier, clips[:5], Runtime(pool=pool), cache=LayerCache(folder, backbone))
    (index,) = folder.rglob("*.json")
    index.unlink()
    cache = LayerCache(folder, backbone)
    assert clips[0].id not in cache
    extract_features(classifier, clips[:5], Runtime(pool=pool), cache=cache)
    assert clips[0].id in LayerCache(folder, backbone)


def test_another_backbone_has_its_own(backbone, classifier, extracted, folder):
    pool, clips, _ = extracted
    extract_features(classifier, clips[:5], Runtime(pool=pool), cache=LayerCache(folder, backbone))
    assert clips[0].id not in LayerCache(folder, small(seed=1))


def test_a_probe_has_the_backbones_body_and_a_trained_classifier_has_not(backbone, classifier):
    assert same_body(classifier, backbone)
    assert not same_body(classifier, small(seed=1))


def test_the_learner_ranks_probes_from_what_it_kept(extracted, backbone, tmp_path):
    pool, clips, labels = extracted
    learner = Learner(backbone, SCHEMA, Runtime(pool=pool))
    first = learner.train({clip.id: labels[clip.id] for clip in clips[:9]}, {}, clips)
    expected = learner.predict(first.model, clips)
    learner.runtime = Runtime(pool=Pool(tmp_path / "no frames here"))
    assert np.array_equal(learner.predict(first.model, clips), expected)


@pytest.mark.parametrize("suffix", ["json", "npy"])
@pytest.mark.parametrize("damage", [b"", b"[1, 2", bytes(range(128, 256))])
def test_a_damaged_block_is_set_aside_and_made_again(classifier, extracted, backbone, folder, suffix, damage):
    pool, clips, _ = extracted
    expected = extract_features(classifier, clips[:5], Runtime(pool=pool), cache=LayerCache(folder, backbone)).numpy()
    (file,) = folder.rglob(f"*.{suffix}")
    file.write_bytes(damage)
    with pytest.raises(DamagedFileError, match=f"{suffix}.corrupt"):
        extract_features(classifier, clips[:5], Runtime(pool=pool), cache=LayerCache(folder, backbone))
    cache = LayerCache(folder, backbone)
    assert clips[0].id not in cache
    assert extract_features(classifier, clips[:5], Runtime(pool=pool), cache=cache).numpy() == pytest.approx(
        expected, abs=1e-5
    )
