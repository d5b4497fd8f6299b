"""The learner on ratings: clips whose pitch is what annotators rate."""

from dataclasses import replace

import numpy as np
import pytest

from aftertone_model.acquisition import STRATEGIES, StrategyError, suitable
from aftertone_model.classification.model import load_model
from aftertone_model.config import PRACTICAL, Tuning
from aftertone_model.evaluation.rating_metrics import RatingMetrics
from aftertone_model.export import emotions
from aftertone_model.export.folder import export
from aftertone_model.export.model_card import Provenance
from aftertone_model.labels import Ratings, Scale
from aftertone_model.learner import Learner
from aftertone_model.runtime import Runtime

SCHEMA = Ratings(classes=("valence", "arousal"), scales=(Scale(low=1, high=5), Scale(low=-10, high=10)))
QUICK = replace(PRACTICAL, updates=150, epochs=1, batch_seconds=8.0)


@pytest.fixture(scope="module")
def rated(extracted):
    """Ratings of the tones: arousal rises with the pitch, valence falls, every third clip lacks valence."""
    rng, (_, clips, labels) = np.random.default_rng(0), extracted
    found = {}
    for number, clip in enumerate(clips):
        pitch = labels[clip.id].argmax() / 2
        found[clip.id] = np.clip([1 - pitch, pitch] + 0.05 * rng.normal(size=2), 0, 1)
        if number % 4 == 1:
            found[clip.id][0] = np.nan
    return found


@pytest.fixture(scope="module")
def trained(extracted, backbone, rated):
    pool, clips, _ = extracted
    learner = Learner(backbone, SCHEMA, Runtime(pool=pool), QUICK)
    test = {clip.id: rated[clip.id] for clip in clips[40:]}
    return learner, learner.train({clip.id: rated[clip.id] for clip in clips[:40]}, test, clips)


def test_ratings_of_clips_that_it_never_heard_are_right(trained):
    _, training = trained
    assert isinstance(training.metrics, RatingMetrics)
    assert isinstance(training.plain_metrics, RatingMetrics)
    assert training.metrics.ccc.value > 0.8
    assert training.plain_metrics.ccc.value > 0.6
    assert training.tuned.train_accuracy > 0.8
    assert training.temperature == 1
    assert training.per_class == (30, 40)


def test_strategies_that_need_no_classes_rank_and_others_are_refused(trained, extracted, rated):
    learner, training = trained
    clips = extracted[1]
    known = {clip.id: rated[clip.id] for clip in clips[:20]}
    assert learner.rank(training.model, clips, 5, known).strategy == "igs"
    for strategy in STRATEGIES:
        if strategy == "alps" or (strategy in suitable("probabilities") and strategy not in suitable("ratings")):
            continue
        ranking = learner.rank(training.model, clips, 5, known, strategy)
        assert sorted(ranking.order) == sorted(clip.id for clip in clips[20:])
        assert ranking.predictions is not None
        assert ranking.predictions.shape == (40, 2)
    with pytest.raises(StrategyError, match="'badge' can't rank by ratings"):
        learner.rank(training.model, clips, 5, known, "badge")


def test_greedy_sampling_asks_for_ratings_that_nobody_has_given(trained, extracted, rated):
    learner, training = trained
    _, clips, labels = extracted
    low = [clip for clip in clips[:40] if labels[clip.id].argmax() == 0][:8]
    known = {clip.id: rated[clip.id] for clip in low}  # all of one rating
    picks = learner.rank(training.model, clips, 6, known, "igs").picks
    assert {int(labels[id].argmax()) for id in picks[:3]} >= {2}


def test_a_transformer_learns_ratings_in_small_batches(extracted, backbone, rated):
    pool, clips, _ = extracted
    config = replace(QUICK, updates=40, encoder_rate=1e-3, few_labels_tuning=Tuning.LAST_LAYERS)
    learner = Learner(backbone, SCHEMA, Runtime(pool=pool), config)
    training = learner.train({clip.id: rated[clip.id] for clip in clips[:40]}, {}, clips)
    assert training.tuned.train_accuracy > 0.5


def test_a_model_is_saved_loaded_and_exported_in_the_units_of_its_scales(trained, extracted, tmp_path):
    learner, training = trained
    pool, clips, _ = extracted
    training.model.save(tmp_path / "model")
    voice = clips[42:48]
    expected = learner.predict(training.model, voice)
    assert learner.predict(load_model(tmp_path / "model"), voice) == pytest.approx(expected, abs=1e-5)
    provenance = Provenance(
        name="Tones", backbone="tiny", adapted=False, clips=60, hours=0.01, labels={"valence": 30, "arousal": 40},
        strategy="igs", metrics=training.metrics, plain_metrics=training.plain_metrics, speaker_disjoint=True,
    )  # fmt: skip
    export(training.model, tmp_path / "export", provenance)
    exported = emotions.Emotions(tmp_path / "export")
    found = exported.one_voice(exported.features(pool.waveform(clip.id) for clip in voice))
    assert found == pytest.approx(expected * [4, 20] + [1, -10], abs=2e-2)
    assert exported.columns == ["valence", "arousal"]
    assert len(exported.row(found[0].tolist())) == 2
    card = " ".join((tmp_path / "export" / "README.md").read_text().split())
    for text in (
        "Rates the emotion of a clip: valence (1 to 5), arousal (-10 to 10).",
        "| dimension | training labels | | --- | --- | | valence | 30 | | arousal | 40 |",
        "Concordance correlation coefficient (CCC",
        "It gives each dimension's rating as `score`",
    ):
        assert text in card


def test_transformers_pipeline_gives_each_dimensions_rating(trained, extracted, tmp_path):
    from transformers import pipeline

    learner, training = trained
    pool, clips, _ = extracted
    provenance = Provenance(
        name="Tones", backbone="tiny", adapted=False, clips=60, hours=0.01, labels={}, strategy="igs", metrics=None,
        speaker_disjoint=True,
    )  # fmt: skip
    export(training.model, tmp_path / "export", provenance)
    classify = pipeline("audio-classification", model=str(tmp_path / "export"), device="cpu")
    samples = pool.waveform(clips[40].id).astype(np.float32)
    said = {row["label"]: row["score"] for row in classify({"raw": samples, "sampling_rate": 16_000}, top_k=None)}
    plain = replace(training.model, head=None)
    expected = learner.predict(plain, clips[40:41])[0] * [4, 20] + [1, -10]
    assert [said["valence"], said["arousal"]] == pytest.approx(expected, abs=0.3)
