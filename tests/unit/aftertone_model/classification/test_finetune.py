from dataclasses import replace

import numpy as np
import pytest
import torch

from aftertone_model.backbones.encoder import Encoder
from aftertone_model.classification.classifier import new_classifier
from aftertone_model.classification.finetune import RETRIES, finetune
from aftertone_model.config import PAPER, PRACTICAL, Stage, Tuning
from aftertone_model.labels import SingleChoice
from aftertone_model.progress import silent
from aftertone_model.runtime import Runtime
from tests.backbones import of_class, small

SCHEMA = SingleChoice(classes=("low", "middle", "high"))
PROBE = [Stage(tuning=Tuning.PROBE)]
QUICK = replace(PRACTICAL, updates=30, epochs=1, batch_seconds=8.0, encoder_rate=1e-3)


@pytest.fixture
def tune(extracted, backbone):
    """Fine-tune on the first clips of the pool."""
    pool, clips, labels = extracted

    def run(config=QUICK, *, count=30, tuning=None, seed=0, progress=silent, **arguments):
        chosen = clips[:count]
        targets = np.array([labels[clip.id] for clip in chosen])
        runtime = Runtime(pool=pool, seed=seed, progress=progress)
        stages = [Stage(tuning=tuning)] if tuning else []
        return finetune(backbone, SCHEMA, chosen, targets, config, runtime, stages=stages, **arguments)

    return run


def weights(model):
    return {name: weight.detach().clone() for name, weight in Encoder(model).body.named_parameters()}


def changed(model, backbone):
    before = weights(backbone.model)
    return {name for name, weight in weights(model).items() if not torch.equal(weight, before[name])}


@pytest.mark.parametrize("tuning", list(Tuning))
def test_every_tuning_learns_tones(tune, tuning):
    tuned = tune(tuning=tuning)
    assert tuned.tuning is tuning
    assert tuned.train_accuracy > 0.9
    assert tuned.losses[-1] < tuned.losses[0] or tuning is Tuning.PROBE
    assert (tuned.retries, tuned.collapsed, tuned.warm) == (0, False, False)


def test_a_probe_leaves_the_body_as_it_is(tune, backbone):
    assert changed(tune(tuning=Tuning.PROBE).classifier, backbone) == set()


def test_the_last_layers_alone_are_trained(tune, backbone):
    names = changed(tune(replace(QUICK, last_layers=1), tuning=Tuning.LAST_LAYERS).classifier, backbone)
    assert names
    assert all(name.startswith("encoder.layers.2.") for name in names)


def test_full_training_leaves_the_cnn(tune, backbone):
    names = changed(tune(tuning=Tuning.FULL).classifier, backbone)
    assert any(name.startswith("feature_projection.") for name in names)
    assert any(name.startswith("encoder.layers.0.") for name in names)
    assert not any(name.startswith("feature_extractor.") for name in names)


@pytest.mark.parametrize(("count", "tuning"), [(29, Tuning.PROBE), (30, Tuning.FULL)])
def test_the_number_of_labels_decides_the_tuning(count, tuning):
    assert replace(PRACTICAL, tuning=Tuning.FULL, tuning_from=30).tuning_for(count) is tuning


@pytest.mark.parametrize("tuning", list(Tuning))
def test_same_seed_same_weights(tune, tuning):
    config = replace(QUICK, updates=5)
    first, again, other = (tune(config, tuning=tuning, seed=seed).classifier.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())
    assert not all(torch.equal(weight, other[name]) for name, weight in first.items())


def test_training_draws_nothing_from_the_global_generator(tune):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    tune(replace(QUICK, updates=2), tuning=Tuning.FULL)
    assert torch.equal(torch.rand(1), expected)


def test_soft_labels_are_learned_as_shares(extracted, backbone):
    pool, clips, labels = extracted
    soft = np.array([0.7 * labels[clip.id] + 0.1 for clip in clips])
    tuned = finetune(backbone, SCHEMA, clips, soft, replace(QUICK, updates=300), Runtime(pool=pool), stages=PROBE)
    entropy = -(0.8 * np.log(0.8) + 0.2 * np.log(0.1))
    assert tuned.losses[-1] == pytest.approx(entropy, abs=0.1)


def test_a_collapse_is_retried_and_ends_in_a_probe(tune):
    tuned = tune(replace(QUICK, head_rate=1e30, encoder_rate=1e30), tuning=Tuning.FULL)
    assert tuned.retries == RETRIES
    assert tuned.tuning is Tuning.PROBE
    assert not tuned.collapsed
    assert tuned.train_accuracy > 0.8


def test_a_collapse_that_stays_is_told(tune):
    tuned = tune(replace(QUICK, probe_rate=1e30), tuning=Tuning.PROBE)
    assert tuned.collapsed
    assert tuned.retries == RETRIES


def test_labels_of_one_class_are_no_collapse(extracted, backbone):
    pool, clips, _ = extracted
    labels = np.tile([0.0, 1.0, 0.0], (10, 1))
    tuned = finetune(backbone, SCHEMA, clips[:10], labels, QUICK, Runtime(pool=pool), stages=PROBE)
    assert (tuned.retries, tuned.collapsed, tuned.train_accuracy) == (0, False, 1.0)


def test_one_labelled_clip_trains(tune):
    assert tune(count=1).train_accuracy == 1.0


def test_warm_starts_go_on_from_the_previous_round(tune):
    previous = tune(replace(PAPER, epochs=1)).classifier
    still = replace(PAPER, epochs=1, head_rate=1e-30, encoder_rate=1e-30)
    tuned = tune(still, previous=previous)
    assert tuned.warm
    expected = previous.state_dict()
    for name, weight in tuned.classifier.state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-29)  # the rate times Adam's step


def test_other_classes_start_afresh(extracted, backbone, tune):
    pool, clips, labels = extracted
    previous = tune(replace(PAPER, epochs=1)).classifier
    targets = np.array([labels[clip.id] for clip in clips[:9]])
    tuned = finetune(
        backbone,
        SingleChoice(classes=("a", "b", "c")),
        clips[:9],
        targets,
        replace(PAPER, epochs=1),
        Runtime(pool=pool),
        previous=previous,
    )
    assert not tuned.warm
    assert tuned.classifier.config.id2label == {0: "a", 1: "b", 2: "c"}


def test_the_practical_config_starts_afresh(tune):
    previous = tune(tuning=Tuning.PROBE).classifier
    assert not tune(tuning=Tuning.PROBE, previous=previous).warm


def test_the_paper_stops_early_and_keeps_its_best_epoch(extracted, backbone):
    pool, clips, _ = extracted
    chance = np.eye(3)[np.random.default_rng(0).integers(3, size=60)]  # nothing to learn: validation gets worse soon
    config = replace(PAPER, head_rate=0.05, encoder_rate=0.01, patience=3, epochs=40)
    tuned = finetune(backbone, SCHEMA, clips, chance, config, Runtime(pool=pool), stages=PROBE)
    losses = tuned.validation_losses
    assert 3 < len(losses) < 40
    assert len(losses) == len(tuned.losses)
    best = losses.index(min(losses))
    assert len(losses) - 1 - best == 3
    shorter = finetune(
        backbone, SCHEMA, clips, chance, replace(config, epochs=best + 1), Runtime(pool=pool), stages=PROBE
    )
    expected = shorter.classifier.state_dict()
    assert all(torch.equal(weight, expected[name]) for name, weight in tuned.classifier.state_dict().items())


def test_a_raised_cancel_leaves_the_backbone_alone(tune, backbone):
    before = weights(backbone.model)

    def cancel(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(tuning=Tuning.FULL, progress=cancel)
    assert all(torch.equal(weight, before[name]) for name, weight in weights(backbone.model).items())


def test_a_warm_start_from_another_backbone_begins_anew(tune):
    config = replace(QUICK, warm_start=True, updates=1)
    others = {"same shape": small(seed=5), "other shape": small(num_hidden_layers=2), "other class": of_class("hubert")}
    for name, other in others.items():
        previous = new_classifier(other, SCHEMA, mix_layers=True, seed=0)
        assert not tune(config, tuning=Tuning.FULL, previous=previous).warm, name
