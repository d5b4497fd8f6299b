"""Both stages on tones of two corpora: what learns, what stays, and that it learns."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.labels import SingleChoice
from aftertone_model.runtime import Runtime
from aftertone_model.supervised_contrastive.classifier_stage import last_layer, predict, train_classifier
from aftertone_model.supervised_contrastive.config import ClassifierStage, DirectStage, EncoderStage
from aftertone_model.supervised_contrastive.direct_stage import train_directly
from aftertone_model.supervised_contrastive.encoder_stage import EncoderTrainer, halving
from aftertone_model.supervised_contrastive.pooling import PooledClassifier, SelfAttentionPooling

BRIEF = EncoderStage(epochs=12, halved_from=8, halved_every=2, batch_size=16, learning_rate=1e-3)
SCHEMA = SingleChoice(classes=("low", "middle", "high"))
Corpus = tuple[Pool, list[Clip], dict[str, np.ndarray]]


def emotions_of(corpus: Corpus) -> list[str]:
    return [SCHEMA.classes[corpus[2][clip.id].argmax()] for clip in corpus[1]]


def corpora_of(clips: Sequence[Clip]) -> list[str]:
    """Five speakers each."""
    return ["a" if int((clip.speaker or "s0")[1:]) < 5 else "b" for clip in clips]


@pytest.fixture(scope="module")
def trained(extracted: Corpus, backbone: Backbone) -> tuple[Backbone, SelfAttentionPooling, EncoderTrainer]:
    pool, clips, _ = extracted
    changed = backbone.copy()
    trainer = EncoderTrainer(
        changed, clips, emotions_of(extracted), corpora_of(clips), BRIEF, Runtime(pool=pool, seed=1)
    )
    return changed, trainer.train(), trainer


def test_the_transformer_and_the_pooling_learn_and_nothing_else(
    trained: tuple[Backbone, SelfAttentionPooling, EncoderTrainer], backbone: Backbone
) -> None:
    changed, pooling, trainer = trained
    before, after = backbone.body.state_dict(), changed.body.state_dict()
    for name, weights in before.items():
        same = torch.equal(weights, after[name])
        assert same != name.startswith("encoder."), name
    assert trainer.losses[-1] < trainer.losses[0]
    assert not torch.equal(pooling.attention.weight, SelfAttentionPooling(32).attention.weight)


def test_it_brings_one_emotion_of_two_corpora_together(
    trained: tuple[Backbone, SelfAttentionPooling, EncoderTrainer], backbone: Backbone, extracted: Corpus
) -> None:
    pool, clips, _ = extracted
    changed, pooling, _ = trained
    emotions, corpora = np.array(emotions_of(extracted)), np.array(corpora_of(clips))

    def contrast(encoder: Backbone) -> float:
        model = PooledClassifier(pooling, 4, 3).eval()
        embedded = predict(encoder, model, clips, Runtime(pool=pool))[1]
        embedded = embedded / np.linalg.norm(embedded, axis=1, keepdims=True)
        alike, across = emotions[:, None] == emotions, corpora[:, None] != corpora
        cosines = embedded @ embedded.T
        return float(cosines[alike & across].mean() - cosines[~alike & across].mean())

    assert contrast(changed) > contrast(backbone) + 0.1


def test_the_classifier_learns_above_a_frozen_transformer(
    trained: tuple[Backbone, SelfAttentionPooling, EncoderTrainer], extracted: Corpus
) -> None:
    pool, clips, labels = extracted
    changed, pooling, _ = trained
    runtime = Runtime(pool=pool)
    before = {name: weights.clone() for name, weights in changed.body.state_dict().items()}
    attention = pooling.attention.weight.clone()
    training, tested = clips[:48], clips[48:]
    config = ClassifierStage(learning_rate=5e-3, epochs=20, slowed_from=15)
    targets = np.array([labels[clip.id] for clip in training])
    model = train_classifier(changed, pooling, SCHEMA, training, targets, config, runtime)
    assert all(torch.equal(weights, changed.body.state_dict()[name]) for name, weights in before.items())
    assert torch.equal(attention, pooling.attention.weight)
    assert not torch.equal(attention, model.pooling.attention.weight)
    logits, embeddings = predict(changed, model, tested, runtime)
    truth = np.array([labels[clip.id].argmax() for clip in tested])
    assert (logits.argmax(axis=1) == truth).mean() >= 0.8
    assert embeddings.shape == (12, changed.config.hidden_size)


def test_a_clip_is_judged_alike_whatever_is_beside_it(
    trained: tuple[Backbone, SelfAttentionPooling, EncoderTrainer], extracted: Corpus
) -> None:
    pool, clips, _ = extracted
    changed, pooling, _ = trained
    model = PooledClassifier(pooling, 8, 3).eval()
    together, _ = predict(changed, model, clips, Runtime(pool=pool))
    alone, _ = predict(changed, model, clips[:1], Runtime(pool=pool))
    np.testing.assert_allclose(alone[0], together[0], atol=1e-4)
    frames = last_layer(changed, clips[:2], Runtime(pool=pool))
    assert [len(clip) for clip in frames] == [len(pool.frames(changed.fingerprint, clip)) for clip in clips[:2]]


def test_direct_fine_tuning_learns_and_leaves_the_cnn(extracted: Corpus, backbone: Backbone) -> None:
    pool, clips, labels = extracted
    changed, runtime = backbone.copy(), Runtime(pool=pool)
    config = DirectStage(epochs=8, learning_rate=2e-3, batch_size=16)
    targets = np.array([labels[clip.id] for clip in clips[:48]])
    model = train_directly(changed, SCHEMA, clips[:48], targets, config, runtime)
    logits, _ = predict(changed, model, clips[48:], runtime)
    truth = np.array([labels[clip.id].argmax() for clip in clips[48:]])
    assert (logits.argmax(axis=1) == truth).mean() >= 0.8
    before, after = backbone.body.state_dict(), changed.body.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        name for name in before if name.startswith("encoder.")
    }


def test_rates_halve_from_epoch_25_as_the_paper_says() -> None:
    rates = [halving(epoch, EncoderStage()) for epoch in (0, 24, 25, 29, 30, 49)]
    assert rates == [1, 1, 0.5, 0.5, 0.25, 0.5**5]


def test_pooling_weighs_frames_by_their_softmax() -> None:
    pooling = SelfAttentionPooling(2)
    frames = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]]])
    with torch.no_grad():
        pooling.attention.weight.copy_(torch.tensor([[np.log(3.0), 0.0]]))
        found = pooling(frames, torch.tensor([2]))
    np.testing.assert_allclose(found, [[0.75, 0.25]], rtol=1e-6)
