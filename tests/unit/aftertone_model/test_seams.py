"""Each seam with every kind behind it: classes of backbones, several choices, attributes in stages, segments, LoRA."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import pipeline

from aftertone_model.acquisition import STRATEGIES, StrategyError, suitable
from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.backbones.encoder import Encoder
from aftertone_model.classification.finetune import finetune
from aftertone_model.classification.model import EmotionModel, load_model
from aftertone_model.config import PRACTICAL, PretrainingConfig, Stage, Tuning
from aftertone_model.data.clips import Clip, file_of
from aftertone_model.data.pool import Pool
from aftertone_model.errors import BackboneError
from aftertone_model.evaluation.metrics import Metrics
from aftertone_model.export.folder import export
from aftertone_model.export.model_card import Provenance
from aftertone_model.labels import MultipleChoice, SingleChoice
from aftertone_model.learner import Learner
from aftertone_model.pretraining.masked_units import MaskedUnits
from aftertone_model.pretraining.record import read_adaptation
from aftertone_model.pretraining.run import adapt
from aftertone_model.runtime import Runtime
from tests.backbones import CLASSES, of_class

TAPT = PretrainingConfig(
    learning_rate=3e-3, mask_span=1, units=16, batch_seconds=5.0, passes=6.0, validations=3, patience=3
)
QUICK = replace(PRACTICAL, updates=40, epochs=1, batch_seconds=8.0, encoder_rate=1e-3, tapt=TAPT)
SINGLE = SingleChoice(classes=("low", "middle", "high"))
PROVENANCE = Provenance(
    name="Tones",
    backbone="small",
    adapted=True,
    clips=62,
    hours=0.01,
    labels={},
    strategy="badge",
    metrics=None,
    speaker_disjoint=True,
)


@pytest.fixture(params=CLASSES)
def folder_of_a_class(request, tmp_path) -> Path:
    """A folder with a small backbone, as `save_pretrained` writes it."""
    of_class(request.param).save(tmp_path / request.param)
    return tmp_path / request.param


@pytest.fixture(scope="module")
def with_short_clips(tones) -> tuple[Pool, list[Clip], dict[str, np.ndarray]]:
    """The tones, and two clips too short for one frame of the CNN."""
    pool, clips, labels = tones
    noise = np.random.default_rng(0).normal(size=(2, 200)).astype(np.float32)
    return pool, [*clips, *map(pool.add, noise)], labels


def test_every_class_adapts_seeds_trains_ranks_and_exports(folder_of_a_class, with_short_clips, folder):
    pool, clips, labels = with_short_clips
    *_, first_short, second_short = clips
    learner = Learner(load_backbone(str(folder_of_a_class)), SINGLE, Runtime(pool=pool), QUICK)
    record = learner.adapt(clips, folder)
    judge = record.curve[0].judge
    assert judge == learner.backbone.family.objective.replace("masked-", "")
    assert min(point.losses[judge] for point in record.curve[1:]) < record.curve[0].losses[judge]
    assert read_adaptation(folder) == record

    picks = learner.seed(clips[:-2], 9).picks
    known = {id: labels[id] for id in picks}
    training = learner.train(known, {}, clips)
    assert training.tuned.train_accuracy > 0.9
    full = replace(QUICK, few_labels_tuning=Tuning.FULL, updates=4)
    tuned = Learner(learner.backbone, SINGLE, learner.runtime, full).train(known, {}, clips)
    assert tuned.tuned.tuning is Tuning.FULL
    ranking = learner.rank(training.model, clips, 5, known, "badge")
    assert len(set(ranking.picks)) == 5
    assert {first_short.id, second_short.id} < set(ranking.order)

    ends = known | {first_short.id: np.eye(3)[0], second_short.id: np.eye(3)[2]}  # a batch of two, then one of one
    two = {id: ends[id] for id in (first_short.id, second_short.id)}
    assert Learner(learner.backbone, SINGLE, learner.runtime, full).train(two, {}, clips).labels == 2
    scores = learner.predict(training.model, clips)
    for clip, together in ((clips[0], scores[0]), (second_short, scores[-1])):
        (alone,) = learner.predict(training.model, [clip])
        np.testing.assert_allclose(alone, together, atol=1e-4)

    export(training.model, folder / "export", PROVENANCE)
    exported = pipeline("audio-classification", model=str(folder / "export"), device="cpu")
    plain = EmotionModel(classifier=training.model.classifier)
    expected = learner.predict(plain, clips[:1])[0]
    said = {answer["label"]: answer["score"] for answer in exported(pool.waveform(clips[0].id))}
    assert [said[name] for name in SINGLE.classes] == pytest.approx(expected.tolist(), abs=2e-3)
    training.model.save(folder / "classifier")
    assert np.array_equal(learner.predict(load_model(folder / "classifier"), clips), scores)


@pytest.mark.parametrize("name", CLASSES)
def test_lora_reaches_query_and_value_of_every_class_and_is_merged(name, tones):
    pool, clips, labels = tones
    backbone, targets = of_class(name), np.array([labels[clip.id] for clip in clips[:20]])
    config = replace(QUICK, updates=8, encoder_rate=1e-2)
    stages = [Stage(tuning=Tuning.LORA)]
    tuned = finetune(backbone, SINGLE, clips[:20], targets, config, Runtime(pool=pool), stages=stages)
    start, end = backbone.body.state_dict(), Encoder(tuned.classifier).body.state_dict()
    assert start.keys() == end.keys()
    changed = {key for key, weight in end.items() if not torch.equal(weight, start[key])}
    projections = [f"encoder.layers.{n}.attention.{p}_proj.weight" for n in range(3) for p in "qv"]
    assert changed == set(projections)
    for key in projections:
        assert torch.linalg.matrix_rank(end[key] - start[key], atol=1e-5) <= config.lora_rank


def test_alps_needs_a_quantiser(tones):
    pool, clips, labels = tones
    learner = Learner(of_class("hubert"), SINGLE, Runtime(pool=pool), QUICK)
    known = {clip.id: labels[clip.id] for clip in clips[:9]}
    with pytest.raises(BackboneError, match="alps needs a quantiser"):
        learner.rank(learner.train(known, {}, clips).model, clips, 5, known, "alps")


@pytest.mark.parametrize("units", [100, 500])  # HuBERT's counts in its first and its second iteration
def test_units_are_found_once_however_many(units, tones, tmp_path):
    pool, clips, _ = tones
    config = replace(TAPT, units=units, passes=1.0, validations=2)
    records = [adapt(of_class("hubert"), clips, config, tmp_path / name, Runtime(pool=pool)) for name in "ab"]
    first, second = (replace(record, seconds=0.0) for record in records)
    assert first == second  # the same units, and so the same losses
    assert 0.5 * np.log(units) < first.curve[0].losses["units"] < 1.5 * np.log(units)


def test_a_head_that_predicts_one_unit_for_all_at_first_goes_on_learning(tones, tmp_path, monkeypatch):
    """Units are fixed, so that no loss falls because fewer of them are in use."""
    pool, clips, _ = tones
    told = MaskedUnits.__init__

    def partial_to_one(objective, *args):
        told(objective, *args)
        with torch.no_grad():
            objective.head.bias[0] = 20.0

    monkeypatch.setattr(MaskedUnits, "__init__", partial_to_one)
    record = adapt(of_class("hubert"), clips, replace(TAPT, passes=4.0), tmp_path / "adapted", Runtime(pool=pool))
    assert record.curve[-1].losses["units"] < record.curve[0].losses["units"]
    assert record.steps == record.curve[-1].step > record.curve[1].step
    assert "collapsed" not in record.reason
    assert "perplexity" not in record.reason


def test_too_little_audio_for_more_than_the_new_head_is_said(tones, tmp_path):
    pool, clips, _ = tones
    config = replace(TAPT, passes=1.0, batch_seconds=1_000.0)  # a single step
    record = adapt(of_class("hubert"), clips, config, tmp_path / "adapted", Runtime(pool=pool))
    assert not record.kept
    assert "too little audio" in record.reason, record.reason


def test_two_labels_of_multiple_choice_are_learned_and_ranked(extracted, backbone):
    pool, clips, labels = extracted
    both = {id: np.array([label[0] + label[1], label[1]]) for id, label in labels.items()}  # the middle has both
    schema = MultipleChoice(classes=("not-high", "middle"))
    learner = Learner(backbone, schema, Runtime(pool=pool), replace(QUICK, updates=150))
    train, test = clips[:40], {clip.id: both[clip.id] for clip in clips[40:]}
    training = learner.train({clip.id: both[clip.id] for clip in train}, test, clips)
    assert isinstance(training.metrics, Metrics)
    assert training.metrics.ua.value > 0.9
    probabilities = learner.predict(training.model, clips[40:])
    assert np.array_equal(probabilities >= 0.5, np.array(list(test.values())) >= 0.5)
    exclusive = [name for name, strategy in STRATEGIES.items() if strategy.exclusive_only]
    for strategy in suitable("probabilities"):
        if strategy in exclusive:
            with pytest.raises(StrategyError, match="single-choice"):
                learner.rank(training.model, clips[40:], 4, strategy=strategy)
        else:
            known = {clip.id: both[clip.id] for clip in train}
            ranking = learner.rank(training.model, clips, 4, known, strategy)
            assert sorted(ranking.order) == sorted(test)
    assert exclusive == ["batchbald"]
    by_entropy = learner.rank(training.model, clips[40:], 4, strategy="entropy")
    assert by_entropy.predictions is not None
    assert np.argmax(schema.uncertainty(by_entropy.predictions)) == 0


def test_an_attribute_is_learned_beside_the_labels_in_stages(extracted, backbone):
    pool, clips, labels = extracted
    told = [
        replace(clip, attributes={"gender": "f" if number % 2 else "m"}) if number % 3 else clip
        for number, clip in enumerate(clips)
    ]
    targets = np.array([labels[clip.id] for clip in told])
    stages = [
        Stage(tuning=Tuning.LAST_LAYERS, attributes={"gender": 0.1}),
        Stage(tuning=Tuning.LORA),
    ]
    tuned = finetune(backbone, SINGLE, told, targets, QUICK, Runtime(pool=pool), stages=stages)
    assert tuned.train_accuracy > 0.9
    assert tuned.tuning is Tuning.LORA
    assert not any("lora" in name for name in tuned.classifier.state_dict())
    without = finetune(
        backbone,
        SINGLE,
        told,
        targets,
        QUICK,
        Runtime(pool=pool),
        stages=[replace(stages[0], attributes={}), stages[1]],
    )
    assert tuned.losses[0] != without.losses[0]


def test_segments_of_one_file_are_learned_as_clips_of_their_own(tmp_path, backbone):
    from aftertone_model.data.pool import Pool

    pool, rng = Pool(tmp_path), np.random.default_rng(0)
    time = np.arange(8_000) / 16_000
    segments, labels = [], {}
    for _ in range(6):  # files of six half seconds, each at its own pitch
        kinds = rng.permutation([0, 1, 2, 0, 1, 2])
        wave = np.concatenate([0.5 * np.sin(2 * np.pi * 200 * 2.5**kind * time) for kind in kinds])
        file = pool.add((wave + 0.02 * rng.normal(size=len(wave))).astype(np.float32))
        for number, kind in enumerate(kinds):
            segment = file.segment(number / 2, 0.5)
            segments.append(segment)
            labels[segment.id] = np.eye(3)[kind]
    assert len({segment.id for segment in segments}) == 36
    learner = Learner(backbone, SINGLE, Runtime(pool=pool), QUICK)
    picks = learner.seed(segments, 12).picks
    training = learner.train({id: labels[id] for id in picks}, {}, segments)
    ranking = learner.rank(training.model, segments, 5, {id: labels[id] for id in picks})
    assert sorted(ranking.order) == sorted(labels.keys() - set(picks))
    guesses = learner.predict(training.model, segments).argmax(axis=1)
    assert (guesses == [labels[segment.id].argmax() for segment in segments]).mean() > 0.9
    full = finetune(
        backbone, SINGLE, segments, np.array([labels[s.id] for s in segments]), QUICK, Runtime(pool=pool),
        stages=[Stage(tuning=Tuning.FULL)],
    )  # fmt: skip
    assert full.train_accuracy > 0.9


def test_a_backbone_is_its_own_copy(backbone):
    other = backbone.copy()
    assert isinstance(other, Backbone)
    assert other.body is not backbone.body
    assert other.fingerprint == backbone.fingerprint


@pytest.mark.parametrize(("start", "seconds"), [(-0.1, 0.5), (0.0, 0.0), (0.5, 0.6), (50.0, 1.0)])
def test_a_segment_outside_its_file_is_refused(start, seconds):
    with pytest.raises(ValueError, match="no part of a file"):
        Clip(id="a", seconds=1.0).segment(start, seconds)


def test_a_segment_is_found_again_by_its_id():
    file = Clip(id="a", seconds=2.5, speaker="s")
    segment = file.segment(0.25, 1.125)
    assert file.at(segment.id) == segment
    assert file.at("a") == file
    assert [file_of(clip.id) for clip in (file, segment)] == ["a", "a"]
    with pytest.raises(ValueError, match="no part of a file"):
        file.at("a@2.000+1.000")


def test_an_unknown_tapt_profile_is_named(backbone, tones):
    other = backbone.copy()
    other.config.tapt_profile = "thorough"
    with pytest.raises(BackboneError, match=r"'thorough'\. There are: standard"):
        _ = Learner(other, SINGLE, Runtime(pool=tones[0])).tapt
