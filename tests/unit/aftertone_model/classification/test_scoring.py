import numpy as np
import pytest

from aftertone_model.classification.classifier import new_classifier
from aftertone_model.classification.scoring import extract_features, score

CLASSES = ("low", "middle", "high")


@pytest.fixture
def classifier(backbone):
    return new_classifier(backbone, CLASSES, mix_layers=True, seed=0)


def test_a_clips_scores_do_not_depend_on_the_others_or_their_order(classifier, extracted):
    pool, clips, _ = extracted
    together = score(classifier, pool, clips)
    backwards = score(classifier, pool, clips[::-1])
    assert backwards.logits[::-1] == pytest.approx(together.logits, abs=1e-4)
    assert backwards.embeddings[::-1] == pytest.approx(together.embeddings, abs=1e-4)
    for row in (0, 17, 59):
        alone = score(classifier, pool, [clips[row]])
        assert alone.logits[0] == pytest.approx(together.logits[row], abs=1e-4)


def test_group_norm_backbones_are_batch_independent_too(make_backbone, tones):
    pool, clips, _ = tones
    backbone = make_backbone(feat_extract_norm="group", do_stable_layer_norm=False)
    classifier = new_classifier(backbone, CLASSES, mix_layers=False, seed=0)
    pool.extract(backbone, clips[:12])
    together = score(classifier, pool, clips[:12])
    for row in range(12):
        assert score(classifier, pool, [clips[row]]).logits[0] == pytest.approx(together.logits[row], abs=1e-4)


def test_features_stand_in_the_order_of_the_clips(classifier, extracted):
    pool, clips, _ = extracted
    features = extract_features(classifier, pool, clips)
    assert features.shape == (60, 3, 32)
    for row in (0, 33):
        alone = extract_features(classifier, pool, [clips[row]])
        assert features[row].numpy() == pytest.approx(alone[0].numpy(), abs=1e-4)


def test_probabilities_sum_to_1(classifier, extracted):
    pool, clips, _ = extracted
    probabilities = score(classifier, pool, clips).probabilities
    assert probabilities.shape == (60, 3)
    assert probabilities.sum(axis=1) == pytest.approx(1.0)


def test_no_clips_no_scores(classifier, extracted):
    scores = score(classifier, extracted[0], [])
    assert scores.logits.shape == (0, 3)
    assert scores.embeddings.shape == (0, 32)


def test_progress_reaches_the_end_and_may_cancel(classifier, extracted):
    pool, clips, _ = extracted
    seen = []
    score(classifier, pool, clips, progress=lambda *report: seen.append(report))
    assert seen[-1] == ("score", 60, 60)

    def cancel(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(classifier, pool, clips, progress=cancel)
    assert np.isfinite(score(classifier, pool, clips).logits).all()
