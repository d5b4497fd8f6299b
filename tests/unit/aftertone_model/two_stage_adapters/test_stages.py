"""Both stages on tones, with every family of backbones: what learns, what stays, what is masked, and that it learns."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.backbones.features import extract
from aftertone_model.data.batches import pad
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.errors import BackboneError, MissingAttributeError
from aftertone_model.labels import SingleChoice
from aftertone_model.runtime import Runtime
from aftertone_model.two_stage_adapters.adapters import insert_adapters
from aftertone_model.two_stage_adapters.attribute_stage import AttributeRun, train_attributes
from aftertone_model.two_stage_adapters.config import AdapterConfig, AttributeStage, TranscriptStage, TwoStageConfig
from aftertone_model.two_stage_adapters.model import MultiTaskModel
from aftertone_model.two_stage_adapters.predictions import predict
from aftertone_model.two_stage_adapters.saved import load, save
from aftertone_model.two_stage_adapters.transcript_stage import TranscriptRun, train_transcripts
from tests.backbones import CLASSES, of_class, small

SCHEMA = SingleChoice(classes=("low", "middle", "high"))
SPOKEN = {"low": "Oh", "middle": "ah", "high": "ih!"}
BRIEF = TwoStageConfig(
    transcripts=TranscriptStage(learning_rate=2e-3, epochs=8, batch_size=8),
    attributes=AttributeStage(learning_rate=2e-3, epochs=6, batch_size=8, attributes={"gender": 0.2}),
    adapters=AdapterConfig(rank=4, bottleneck=4),
    feature_width=8,
)
Corpus = tuple[Pool, list[Clip], np.ndarray]


@pytest.fixture(scope="module")
def corpus(tones) -> Corpus:
    """Clips with gender, but for each fifth, and transcript, but for each fourth; with their labels (N, C)."""
    pool, clips, labels = tones
    told = []
    for number, clip in enumerate(clips):
        known = {"gender": "f" if number % 2 else "m"} if number % 5 else {}
        if number % 4:
            known["transcript"] = SPOKEN[SCHEMA.classes[labels[clip.id].argmax()]]
        told.append(replace(clip, attributes=known))
    return pool, told, np.array([labels[clip.id] for clip in clips])


@pytest.fixture(scope="module", params=CLASSES)
def family(request) -> Backbone:
    """Without LayerDrop: of three layers each is missed."""
    backbone = of_class(request.param)
    backbone.config.layerdrop = 0.0
    return backbone


@pytest.fixture(scope="module")
def first(corpus: Corpus, family: Backbone) -> TranscriptRun:
    pool, clips, labels = corpus
    return train_transcripts(family, SCHEMA, clips[:48], labels[:48], BRIEF, Runtime(pool=pool))


@pytest.fixture(scope="module")
def second(corpus: Corpus, first: TranscriptRun) -> AttributeRun:
    pool, clips, labels = corpus
    return train_attributes(first.model, clips[:48], labels[:48], BRIEF, Runtime(pool=pool))


@pytest.fixture(scope="module")
def plain(corpus: Corpus) -> TranscriptRun:
    """Stage 1 of the smallest backbone, for tests that aren't about families."""
    pool, clips, labels = corpus
    return train_transcripts(small(), SCHEMA, clips[:48], labels[:48], BRIEF, Runtime(pool=pool))


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed_names(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}


def with_stage_2(**changes: Any) -> TwoStageConfig:
    return replace(BRIEF, attributes=replace(BRIEF.attributes, **changes))


def accuracy(model: MultiTaskModel, corpus: Corpus) -> float:
    """On speakers that no stage has heard."""
    pool, clips, labels = corpus
    found = predict(model, clips[48:], Runtime(pool=pool)).logits.argmax(axis=1)
    return float((found == labels[48:].argmax(axis=1)).mean())


def test_stage_1_trains_the_whole_transformer_and_not_the_cnn(first: TranscriptRun, family: Backbone) -> None:
    moved = changed_names(weights(family.body), weights(first.model.backbone.body))
    body = {name for name, _ in family.body.named_parameters()}
    unused = {"masked_spec_embed"}  # the mask vector, which only pre-training reads
    still = {name for name in body if name.startswith("feature_extractor.")} | unused
    keys = {name for name in body if name.endswith("k_proj.bias")}  # shifts all scores alike: softmax doesn't see it
    assert body - still - keys <= moved | {name for name in body if "gru_rel_pos" in name or "rel_attn" in name}
    assert not moved & still
    assert first.losses[-1] < first.losses[0]


def test_stage_1_counts_the_clips_without_a_transcript(first: TranscriptRun) -> None:
    assert (first.targets.missing, first.targets.crowded, first.targets.cropped) == (12, 0, 0)
    assert first.model.vocabulary is not None
    assert first.model.vocabulary.characters == "ahio"


def test_adapters_change_nothing_at_first_and_reach_every_layer(family: Backbone, corpus: Corpus) -> None:
    pool, clips, _ = corpus
    cnn = extract(family, clips, Runtime(pool=pool))
    frames, lengths = pad([pool.frames(cnn, clip) for clip in clips[:3]])
    copy = family.copy()
    adapters = insert_adapters(copy, BRIEF.adapters, seed=0)
    plain = family.contextualise(frames, lengths).detach()
    copy.model.requires_grad_(False)
    adapters.requires_grad_(True)
    same = copy.contextualise(frames, lengths)
    inside = torch.arange(frames.shape[1]) < lengths[:, None]
    torch.testing.assert_close(same.detach()[inside], plain[inside], atol=1e-5, rtol=1e-4)
    assert len(adapters.layers) == family.config.num_hidden_layers

    with torch.no_grad():  # B is 0 at first, so that A would have no gradient
        for parameter in adapters.parameters():
            parameter.add_(0.01)
    copy.contextualise(frames, lengths)[inside].square().sum().backward()
    without = {name for name, p in adapters.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == set()
    assert all(p.grad is None for p in copy.model.parameters() if not p.requires_grad)
    assert not torch.allclose(copy.contextualise(frames, lengths)[inside], plain[inside], atol=1e-4)


def test_stage_2_trains_adapters_and_heads_above_a_frozen_transformer(first: TranscriptRun, corpus: Corpus) -> None:
    pool, clips, labels = corpus
    before, heads = weights(first.model.backbone.body), weights(first.model.heads)
    run = train_attributes(first.model, clips[:48], labels[:48], with_stage_2(epochs=2), Runtime(pool=pool))
    assert changed_names(before, weights(first.model.backbone.body)) == set()  # rounds start from it again
    assert changed_names(heads, weights(first.model.heads)) == set()
    after = {
        re.sub(r"parametrizations\.weight\.original$", "weight", name.replace(".base_layer", "")): tensor
        for name, tensor in weights(run.model.backbone.body).items()
    }
    assert changed_names(before, after) == set()
    assert run.model.adapters is not None
    fresh = insert_adapters(first.model.backbone.copy(), BRIEF.adapters, seed=0)
    assert changed_names(weights(fresh), weights(run.model.adapters)) == weights(fresh).keys()
    assert len(run.losses) == 2


def test_both_stages_learn_the_tones_of_new_speakers(
    first: TranscriptRun, second: AttributeRun, corpus: Corpus
) -> None:
    assert accuracy(first.model, corpus) >= 0.8
    assert accuracy(second.model, corpus) >= 0.8
    assert second.losses[-1] < second.losses[0]


def test_a_clip_is_judged_alike_whatever_is_beside_it(second: AttributeRun, corpus: Corpus) -> None:
    pool, clips, _ = corpus
    model = second.model
    together = predict(model, clips, Runtime(pool=pool))
    for row in (0, 7):
        alone = predict(model, clips[row : row + 1], Runtime(pool=pool))
        np.testing.assert_allclose(alone.logits[0], together.logits[row], atol=1e-4)
        np.testing.assert_allclose(alone.embeddings[0], together.embeddings[row], atol=1e-4)
        np.testing.assert_allclose(alone.attributes["gender"][0], together.attributes["gender"][row], atol=1e-4)
    assert together.embeddings.shape == (60, 16)
    assert together.attributes["gender"].shape == (60, 2)


def test_what_a_round_keeps_is_read_again_above_the_backbone_of_stage_1(
    first: TranscriptRun, second: AttributeRun, corpus: Corpus, folder: Path
) -> None:
    pool, clips, _ = corpus
    folder.mkdir()
    save(first.model, folder / "stage-1")
    save(second.model, folder / "round")
    again = load(folder / "stage-1")
    assert again.vocabulary == first.model.vocabulary
    assert not (folder / "round" / "backbone").exists()
    kept = load(folder / "round", load_backbone(str(folder / "stage-1" / "backbone")))
    for mine, theirs in ((first.model, again), (second.model, kept)):
        expected, found = (predict(model, clips[:5], Runtime(pool=pool)) for model in (mine, theirs))
        np.testing.assert_array_equal(expected.logits, found.logits)
        np.testing.assert_array_equal(expected.embeddings, found.embeddings)
        assert expected.attributes.keys() == found.attributes.keys()
    with pytest.raises(BackboneError, match="another backbone"):
        load(folder / "round", small())
    (folder / "round" / "weights.safetensors").write_bytes(b"cut short")
    with pytest.raises(BackboneError, match="Train the stage again"):
        load(folder / "round", again.backbone)


@pytest.mark.parametrize(
    ("stage_1", "stage_2"), [("adapters", "adapters"), ("all", "all"), ("all", "adapters")], ids=["1", "2", "3"]
)
def test_the_settings_of_table_2_train_what_they_say(stage_1: Any, stage_2: Any, corpus: Corpus) -> None:
    pool, clips, labels = corpus
    config = replace(
        with_stage_2(tuning=stage_2, attributes={}, contrast="none", fusion="none", epochs=2),
        transcripts=replace(BRIEF.transcripts, tuning=stage_1, epochs=2),
    )
    backbone = small()
    one = train_transcripts(backbone, SCHEMA, clips[:30], labels[:30], config, Runtime(pool=pool)).model
    two = train_attributes(one, clips[:30], labels[:30], config, Runtime(pool=pool)).model
    assert (one.adapters is not None, two.adapters is not None) == (stage_1 == "adapters", stage_2 == "adapters")
    assert (two.heads.emotion.bottleneck is not None) == (stage_2 == "adapters")
    name = "encoder.layers.0.feed_forward.output_dense.weight"
    start, middle, end = (weights(model.body)[name] for model in (backbone, one.backbone, two.backbone))
    assert torch.equal(start, middle) == (stage_1 == "adapters")
    assert torch.equal(middle, end) == (stage_2 == "adapters")
    if stage_1 == "adapters":
        assert one.adapters is not None
        assert two.adapters is not None
        assert changed_names(weights(one.adapters), weights(two.adapters)) == weights(one.adapters).keys()


def test_adapters_then_all_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="none of the paper's settings"):
        TwoStageConfig(transcripts=TranscriptStage(tuning="adapters"), attributes=AttributeStage(tuning="all"))
    with pytest.raises(ValueError, match="keep them below 1"):
        AttributeStage(attributes={"gender": 0.5, "style": 0.5})


@pytest.mark.parametrize(("fusion", "width"), [("none", 8), ("concatenation", 16)])
def test_stage_2_starts_where_stage_1_ended(fusion: Any, width: int, plain: TranscriptRun, corpus: Corpus) -> None:
    pool, clips, labels = corpus
    config = with_stage_2(learning_rate=1e-12, epochs=1, fusion=fusion)
    two = train_attributes(plain.model, clips[:10], labels[:10], config, Runtime(pool=pool)).model
    before, after = (predict(model, clips, Runtime(pool=pool)) for model in (plain.model, two))
    np.testing.assert_allclose(before.logits, after.logits, atol=1e-5)
    assert after.embeddings.shape == (60, width)


@pytest.mark.parametrize("contrast", ["norm", "cosine"])
def test_the_self_contrastive_loss_brings_the_features_together(
    contrast: Any, plain: TranscriptRun, corpus: Corpus
) -> None:
    pool, clips, labels = corpus
    apart = {}
    for kind in ("none", contrast):
        config = with_stage_2(contrast=kind, epochs=3)
        model = train_attributes(plain.model, clips[:32], labels[:32], config, Runtime(pool=pool)).model
        both = predict(model, clips[:32], Runtime(pool=pool)).embeddings
        emotion, gender = both[:, :8], both[:, 8:]
        lengths = np.linalg.norm(emotion, axis=1) * np.linalg.norm(gender, axis=1)
        found = {
            "norm": np.linalg.norm(emotion - gender, axis=1),
            "cosine": -(emotion * gender).sum(axis=1) / lengths,
        }
        apart[kind] = found[contrast].mean()
    assert apart[contrast] < apart["none"] - 0.1


def test_attributes_are_any_and_those_missing_teach_nothing(plain: TranscriptRun, corpus: Corpus) -> None:
    pool, clips, labels = corpus
    told = [
        replace(clip, attributes={"microphone": "near" if label[0] else "far"} if number < 30 else {})
        for number, (clip, label) in enumerate(zip(clips, labels, strict=True))
    ]
    config = with_stage_2(attributes={"microphone": 0.3}, contrast="none")
    model = train_attributes(plain.model, told[:48], labels[:48], config, Runtime(pool=pool)).model
    found = predict(model, told[48:], Runtime(pool=pool)).attributes["microphone"].argmax(axis=1)
    assert model.heads.shape.attributes == {"microphone": ("far", "near")}
    assert (found == labels[48:, 0]).mean() >= 0.8


def test_what_is_missing_altogether_is_said(plain: TranscriptRun, corpus: Corpus) -> None:
    pool, clips, labels = corpus
    runtime = Runtime(pool=pool)
    with pytest.raises(MissingAttributeError, match=r"0 values of style \(none\)"):
        train_attributes(plain.model, clips, labels, with_stage_2(attributes={"style": 0.1}), runtime)
    mute = [replace(clip, attributes={}) for clip in clips]
    with pytest.raises(MissingAttributeError, match="None of the 60 labelled clips has a transcript"):
        train_transcripts(small(), SCHEMA, mute, labels, BRIEF, runtime)
    alone = replace(BRIEF, transcripts=replace(BRIEF.transcripts, transcript_weight=0.0, epochs=1))
    assert train_transcripts(small(), SCHEMA, mute, labels, alone, runtime).losses[0] > 0


def clips_of(pool: Pool, seconds: Sequence[float]) -> list[Clip]:
    rng = np.random.default_rng(1)
    known = {"transcript": "oh", "gender": "f"}, {"transcript": "ah", "gender": "m"}
    return [
        replace(
            pool.add(rng.normal(scale=0.1, size=int(length * 16_000)).astype(np.float32)), attributes=known[row % 2]
        )
        for row, length in enumerate(seconds)
    ]


@pytest.mark.parametrize("seconds", [(0.5,), (0.5, 0.7), (0.0005, 0.5), (0.5, 3.0)])
def test_few_short_and_long_clips(seconds: tuple[float, ...], tmp_path: Path) -> None:
    """A batch of one, a batch of two, one clip shorter than the receptive field, one that is cut."""
    pool = Pool(tmp_path)
    clips = clips_of(pool, seconds)
    labels = np.eye(3)[: len(clips)]
    config = replace(
        with_stage_2(epochs=1, crop_seconds=1.0, attributes={"gender": 0.1} if len(clips) > 1 else {}),
        transcripts=replace(BRIEF.transcripts, epochs=1, crop_seconds=1.0),
    )
    runtime = Runtime(pool=pool)
    run = train_transcripts(small(), SCHEMA, clips, labels, config, runtime)
    assert (run.targets.crowded, run.targets.cropped) == (seconds[0] < 0.01, seconds[-1] > 1)
    two = train_attributes(run.model, clips, labels, config, runtime)
    assert np.isfinite([*run.losses, *two.losses]).all()
    assert np.isfinite(predict(two.model, clips, runtime).logits).all()


def test_the_same_seed_trains_the_same_model(corpus: Corpus) -> None:
    pool, clips, labels = corpus
    config = replace(BRIEF, transcripts=replace(BRIEF.transcripts, epochs=2))
    once, again = (
        train_transcripts(small(), SCHEMA, clips[:16], labels[:16], config, Runtime(pool=pool)) for _ in range(2)
    )
    assert again.losses == once.losses
    assert changed_names(weights(once.model.heads), weights(again.model.heads)) == set()
