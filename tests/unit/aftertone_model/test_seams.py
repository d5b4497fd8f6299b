"""Each seam with a second kind behind it: HuBERT and WavLM, several choices, attributes in stages, segments, LoRA."""

from dataclasses import replace

import numpy as np
import pytest
from transformers import HubertConfig, HubertModel, WavLMConfig, WavLMModel

from aftertone_model.acquisition import STRATEGIES, StrategyError
from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.classification.finetune import finetune
from aftertone_model.classification.model import load_model
from aftertone_model.config import PRACTICAL, PretrainingConfig, Stage, Tuning
from aftertone_model.data.clips import Clip
from aftertone_model.errors import BackboneError
from aftertone_model.labels import MultipleChoice, SingleChoice
from aftertone_model.learner import Learner
from aftertone_model.pretraining.record import read_adaptation
from aftertone_model.runtime import Runtime
from tests.backbones import SHAPE, drawn

TAPT = PretrainingConfig(
    learning_rate=3e-3, mask_span=1, units=16, batch_seconds=5.0, passes=6.0, validations=3, patience=3
)
QUICK = replace(PRACTICAL, updates=40, epochs=1, batch_seconds=8.0, encoder_rate=1e-3, tapt=TAPT)
SINGLE = SingleChoice(classes=("low", "middle", "high"))


@pytest.fixture(params=["hubert", "wavlm"])
def other_family(request, tmp_path) -> str:
    """A folder with a small model that has no quantiser."""
    kind, config = {"hubert": (HubertModel, HubertConfig), "wavlm": (WavLMModel, WavLMConfig)}[request.param]
    drawn(kind, config(**SHAPE)).save(tmp_path / request.param)
    return str(tmp_path / request.param)


def test_a_hubert_or_wavlm_adapts_seeds_trains_and_ranks(other_family, tones, folder):
    pool, clips, labels = tones
    learner = Learner(load_backbone(other_family), SINGLE, Runtime(pool=pool), QUICK)
    record = learner.adapt(clips, folder)
    start, end = record.curve[0], record.curve[-1]
    assert record.kept, record.reason
    assert end.losses["units"] < start.losses["units"]
    assert read_adaptation(folder) == record

    picks = learner.seed(clips, 9).picks
    training = learner.train({id: labels[id] for id in picks}, {}, clips)
    assert training.tuned.train_accuracy > 0.9
    if other_family.endswith("wavlm"):  # its attention bypasses what LoRA would replace
        lora = Learner(learner.backbone, SINGLE, learner.runtime, replace(QUICK, few_labels_tuning=Tuning.LORA))
        with pytest.raises(BackboneError, match="LoRA can't tune a wavlm model"):
            lora.train({i: labels[i] for i in picks}, {}, clips)
    full = replace(QUICK, few_labels_tuning=Tuning.FULL)
    tuned = Learner(learner.backbone, SINGLE, learner.runtime, full).train({i: labels[i] for i in picks}, {}, clips)
    assert tuned.tuned.tuning is Tuning.FULL
    known = {id: labels[id] for id in picks}
    ranking = learner.rank(training.model, clips, 5, known, "badge")
    assert len(set(ranking.picks)) == 5
    with pytest.raises(BackboneError, match="alps needs a quantiser"):
        learner.rank(training.model, clips, 5, known, "alps")
    training.model.save(folder / "classifier")
    assert np.array_equal(
        learner.predict(load_model(folder / "classifier"), clips), learner.predict(training.model, clips)
    )


def test_two_labels_of_multiple_choice_are_learned_and_ranked(extracted, backbone):
    pool, clips, labels = extracted
    both = {id: np.array([label[0] + label[1], label[1]]) for id, label in labels.items()}  # the middle has both
    schema = MultipleChoice(classes=("not-high", "middle"))
    learner = Learner(backbone, schema, Runtime(pool=pool), replace(QUICK, updates=150))
    train, test = clips[:40], {clip.id: both[clip.id] for clip in clips[40:]}
    training = learner.train({clip.id: both[clip.id] for clip in train}, test, clips)
    assert training.metrics is not None
    assert training.metrics.ua.value > 0.9
    probabilities = learner.predict(training.model, clips[40:])
    assert np.array_equal(probabilities >= 0.5, np.array(list(test.values())) >= 0.5)
    exclusive = [name for name, strategy in STRATEGIES.items() if strategy.exclusive_only]
    for strategy in STRATEGIES:
        if strategy in exclusive:
            with pytest.raises(StrategyError, match="single-choice"):
                learner.rank(training.model, clips[40:], 4, strategy=strategy)
        else:
            known = {clip.id: both[clip.id] for clip in train}
            ranking = learner.rank(training.model, clips, 4, known, strategy)
            assert sorted(ranking.order) == sorted(test)
    assert exclusive == ["batchbald"]
    by_entropy = learner.rank(training.model, clips[40:], 4, strategy="entropy")
    assert by_entropy.probabilities is not None
    assert np.argmax(schema.uncertainty(by_entropy.probabilities)) == 0


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


def test_an_unknown_tapt_profile_is_named(backbone, tones):
    other = backbone.copy()
    other.config.tapt_profile = "thorough"
    with pytest.raises(BackboneError, match=r"'thorough'\. There are: standard"):
        _ = Learner(other, SINGLE, Runtime(pool=tones[0])).tapt
