from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from aftertone_model.acquisition.uncertainty import entropy
from aftertone_model.backbone_names import MINI
from aftertone_model.backbones import precision
from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.classification.classifier import new_classifier
from aftertone_model.classification.finetune import finetune
from aftertone_model.classification.layer_cache import LayerCache
from aftertone_model.classification.scoring import extract_features, score
from aftertone_model.config import PRACTICAL, Stage, Tuning
from aftertone_model.errors import BackboneError
from aftertone_model.labels import SingleChoice
from aftertone_model.runtime import Runtime
from tests.backbones import small

SCHEMA = SingleChoice(classes=("low", "middle", "high"))


@pytest.fixture
def classifier(backbone):
    return new_classifier(backbone, SCHEMA, mix_layers=True, seed=0)


def test_a_clips_scores_do_not_depend_on_the_others_or_their_order(classifier, extracted):
    pool, clips, _ = extracted
    together = score(classifier, clips, Runtime(pool=pool))
    backwards = score(classifier, clips[::-1], Runtime(pool=pool))
    assert backwards.logits[::-1] == pytest.approx(together.logits, abs=1e-4)
    assert backwards.embeddings[::-1] == pytest.approx(together.embeddings, abs=1e-4)
    for row in (0, 17, 59):
        alone = score(classifier, [clips[row]], Runtime(pool=pool))
        assert alone.logits[0] == pytest.approx(together.logits[row], abs=1e-4)


def test_group_norm_backbones_are_batch_independent_too(tones):
    pool, clips, _ = tones
    backbone = small(feat_extract_norm="group", do_stable_layer_norm=False)
    classifier = new_classifier(backbone, SCHEMA, mix_layers=False, seed=0)
    together = score(classifier, clips[:12], Runtime(pool=pool))
    for row in range(12):
        assert score(classifier, [clips[row]], Runtime(pool=pool)).logits[0] == pytest.approx(
            together.logits[row], abs=1e-4
        )


def test_bfloat16_keeps_the_ranking(tones, monkeypatch):
    """With the bundled weights and a head that has learned; a CPU without bfloat16 instructions imitates them."""
    pool, clips, labels = tones
    runtime, few = Runtime(pool=pool), clips[:12]
    learned = np.array([labels[clip.id] for clip in few])
    stages = [Stage(tuning=Tuning.PROBE)]
    monkeypatch.setattr(precision, "bf16_is_faster", lambda _: False)
    probe = finetune(load_backbone(MINI), SCHEMA, few, learned, PRACTICAL, runtime, stages=stages).classifier
    exact = SCHEMA.predictions(score(probe, clips, runtime).logits)
    monkeypatch.setattr(precision, "bf16_is_faster", lambda _: True)
    fast = SCHEMA.predictions(score(probe, clips, runtime).logits)
    assert not np.array_equal(fast, exact)  # it was computed in bfloat16
    assert fast == pytest.approx(exact, abs=0.02)
    rank: Any = spearmanr(entropy(fast), entropy(exact))
    assert rank.statistic >= 0.99


def test_features_stand_in_the_order_of_the_clips(classifier, extracted):
    pool, clips, _ = extracted
    features = extract_features(classifier, clips, Runtime(pool=pool))
    assert features.shape == (60, 4, 4 * 32)
    for row in (0, 33):
        alone = extract_features(classifier, [clips[row]], Runtime(pool=pool))
        assert features[row].numpy() == pytest.approx(alone[0].numpy(), abs=1e-4)


def test_no_clips_no_scores(classifier, extracted):
    scores = score(classifier, [], Runtime(pool=extracted[0]))
    assert scores.logits.shape == (0, 3)
    assert scores.embeddings.shape == (0, 32)


def test_progress_reaches_the_end_and_may_cancel(classifier, extracted):
    pool, clips, _ = extracted
    seen = []
    score(classifier, clips, Runtime(pool=pool, progress=lambda *report: seen.append(report)))
    assert seen[-1] == ("score", 60, 60)

    def cancel(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(classifier, clips, Runtime(pool=pool, progress=cancel))
    assert np.isfinite(score(classifier, clips, Runtime(pool=pool)).logits).all()


def test_what_a_probe_keeps_is_computed_in_float32(tones, tmp_path, monkeypatch):
    pool, clips, _ = tones
    backbone, runtime = load_backbone(MINI), Runtime(pool=pool)
    probe = new_classifier(backbone, SCHEMA, mix_layers=True, seed=0)
    monkeypatch.setattr(precision, "bf16_is_faster", lambda _: False)
    exact = score(probe, clips[:6], runtime).logits
    monkeypatch.setattr(precision, "bf16_is_faster", lambda _: True)
    first, again = [score(probe, clips[:6], runtime, cache=LayerCache(tmp_path, backbone)).logits for _ in range(2)]
    assert first == pytest.approx(exact, abs=1e-5)
    assert np.array_equal(first, again)


def test_what_is_not_finite_is_not_kept(tones, tmp_path):
    pool, clips, _ = tones
    backbone, runtime = load_backbone(MINI), Runtime(pool=pool)
    cache = LayerCache(tmp_path, backbone)
    broken = new_classifier(backbone, SCHEMA, mix_layers=True, seed=0)
    with torch.no_grad():
        broken.base_model.get_parameter("encoder.layers.0.feed_forward.output_dense.bias").fill_(float("nan"))
    with pytest.raises(BackboneError, match="not finite"):
        score(broken, clips[:2], runtime, cache=cache)
    assert clips[0].id not in cache
    assert score(new_classifier(backbone, SCHEMA, mix_layers=True, seed=0), clips[:2], runtime, cache=cache)
