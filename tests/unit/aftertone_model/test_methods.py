"""The sister methods behind the learner's interface: every class of backbone goes from adapting to an export."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import pipeline

from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.config import PAPER, PRACTICAL, PretrainingConfig
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.errors import BackboneError, CorpusError, MissingAttributeError
from aftertone_model.export.emotions import Emotions
from aftertone_model.export.folder import export
from aftertone_model.export.model_card import Provenance
from aftertone_model.labels import SingleChoice
from aftertone_model.learning import AnyLearner
from aftertone_model.method_names import CONTRASTIVE, NAMES, TWO_STAGE
from aftertone_model.methods import METHODS
from aftertone_model.pretraining.record import read_adaptation
from aftertone_model.runtime import Runtime
from aftertone_model.supervised_contrastive.config import ClassifierStage, ContrastiveConfig, EncoderStage
from aftertone_model.supervised_contrastive.config import LoopConfig as ContrastiveLoop
from aftertone_model.supervised_contrastive.learner import TARGET, ContrastiveLearner
from aftertone_model.supervised_contrastive.source import Source, SourceClip
from aftertone_model.two_stage_adapters.config import AdapterConfig, AttributeStage, TranscriptStage, TwoStageConfig
from aftertone_model.two_stage_adapters.config import LoopConfig as TwoStageLoop
from aftertone_model.two_stage_adapters.learner import TwoStageLearner
from tests.backbones import CLASSES, of_class, small

SCHEMA = SingleChoice(classes=("low", "middle", "high"))
BRIEF = EncoderStage(epochs=1, halved_from=1, halved_every=1, batch_size=8, learning_rate=1e-3)
CONTRAST = ContrastiveLoop(
    stages=ContrastiveConfig(encoder=BRIEF, classifier=ClassifierStage(epochs=4, learning_rate=1e-2)), tapt=False
)
STAGES = TwoStageConfig(
    transcripts=TranscriptStage(epochs=2, learning_rate=1e-3),
    attributes=AttributeStage(epochs=2, learning_rate=1e-3),
    adapters=AdapterConfig(rank=4, bottleneck=8),
    feature_width=8,
)
ADAPTERS = TwoStageLoop(stages=STAGES, tapt=False, again=10)
Corpus = tuple[Pool, list[Clip], dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def told(tones: Corpus) -> Corpus:
    """24 tones with attributes where they are known, and two clips too short for one frame of the CNN."""
    pool, clips, labels = tones
    short = np.random.default_rng(5).normal(size=(2, 200)).astype(np.float32)
    some = [
        replace(clip, attributes={"gender": "fm"[row % 2], "transcript": "ab"} if row % 4 else {})
        for row, clip in enumerate(clips[:24])
    ]
    ends = [replace(pool.add(wave), attributes={"gender": "fm"[row]}) for row, wave in enumerate(short)]
    return pool, [*some, *ends], labels | {clip.id: np.eye(3)[2 * row] for row, clip in enumerate(ends)}


@pytest.fixture(scope="module")
def source(tones: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Two corpora of 16 of the other tones, in a pool of their own; the second has no high ones."""
    pool, clips, labels = tones
    other, found = Pool(tmp_path_factory.mktemp("source")), []
    for row, clip in enumerate(clips[30:]):
        emotion = SCHEMA.classes[labels[clip.id].argmax()]
        if row % 2 == 0 or emotion != "high":
            other.add(pool.waveform(clip.id))
            found.append(SourceClip(clip=clip, emotion=emotion, corpus="ab"[row % 2]))
    return Source(name="tones", pool=other, clips=tuple(found))


def learner_of(method: str, folder: Path | str, pool: Pool, source: Source) -> AnyLearner:
    backbone, runtime = load_backbone(str(folder)), Runtime(pool=pool)
    if method == TWO_STAGE:
        return TwoStageLearner(backbone, SCHEMA, runtime, PRACTICAL, ADAPTERS)
    return ContrastiveLearner(backbone, SCHEMA, runtime, PRACTICAL, CONTRAST, source=source)


@pytest.mark.parametrize("method", [TWO_STAGE, CONTRASTIVE])
@pytest.mark.parametrize("name", CLASSES)
def test_every_class_goes_from_adapting_to_an_export(
    name: str, method: str, told: Corpus, source: Source, tmp_path: Path
) -> None:
    pool, clips, labels = told
    of_class(name).save(tmp_path / "backbone")
    learner = learner_of(method, tmp_path / "backbone", pool, source)
    record = learner.adapt(clips, tmp_path / "adapted")
    assert read_adaptation(tmp_path / "adapted") == record
    assert record.kept == (method == CONTRASTIVE)
    picks = [*learner.seed(clips, 10).picks, clips[-1].id]
    known = {id: labels[id] for id in picks}
    test = {clip.id: labels[clip.id] for clip in clips if clip.id not in known}
    training = learner.train(known, test, clips)
    assert training.labels == len(known)
    assert training.metrics is not None
    assert training.plain_metrics is not None
    ranking = learner.rank(training.model, clips, 5, known, "badge")
    assert sorted(ranking.order) == sorted(test)

    scores = learner.predict(training.model, clips)
    for row in (0, len(clips) - 2):  # one long, one shorter than the receptive field
        (alone,) = learner.predict(training.model, [clips[row]])
        np.testing.assert_allclose(alone, scores[row], atol=1e-4)
    training.model.save(tmp_path / "model")
    loaded = METHODS[method].load(tmp_path / "model")
    np.testing.assert_allclose(learner.predict(loaded, clips), scores, atol=1e-5)

    card = Provenance(
        name="Tones", backbone="small", adapted=True, clips=26, hours=0.01, labels={}, strategy="badge",
        metrics=training.metrics, plain_metrics=training.plain_metrics, speaker_disjoint=False,
        method=METHODS[method].follows,
    )  # fmt: skip
    export(METHODS[method].exported(loaded), tmp_path / "export", card)
    text = (tmp_path / "export" / "README.md").read_text()
    assert METHODS[method].follows in text
    assert "### Single clips (`emotions.py`)" in text
    exported = Emotions(tmp_path / "export")
    heard = exported.features([pool.waveform(clip.id) for clip in clips[-4:]])
    assert exported.one_voice(heard) == pytest.approx(scores[-4:], abs=2e-3)
    classify = pipeline("audio-classification", model=str(tmp_path / "export"), device="cpu")
    said = {row["label"]: row["score"] for row in classify(pool.waveform(clips[0].id))}
    (plain,) = learner.predict(plain_of(method, training.model), clips[:1])
    assert [said[emotion] for emotion in SCHEMA.classes] == pytest.approx(plain.tolist(), abs=2e-3)


def plain_of(method: str, model):
    return model.plain if method == TWO_STAGE else replace(model, head=None)


@pytest.mark.parametrize("method", [TWO_STAGE, CONTRASTIVE])
@pytest.mark.parametrize("count", [1, 2])
def test_a_batch_of_one_and_of_two_clips_are_learned(
    method: str, count: int, told: Corpus, source: Source, tmp_path: Path
) -> None:
    pool, clips, labels = told
    small().save(tmp_path / "backbone")
    learner = learner_of(method, tmp_path / "backbone", pool, source)
    learner.adapt(clips, tmp_path / "adapted")
    known = {clip.id: labels[clip.id] for clip in clips[1 : 1 + count]}
    if method == TWO_STAGE and count == 1:
        with pytest.raises(MissingAttributeError, match="two are needed"):
            learner.train(known, {}, clips)
    else:
        training = learner.train(known, {}, clips)
        assert np.isfinite(learner.predict(training.model, clips)).all()


def test_every_method_ranks_by_every_kind_of_input(told: Corpus, source: Source, tmp_path: Path) -> None:
    pool, clips, labels = told
    small().save(tmp_path / "backbone")
    known = {clip.id: labels[clip.id] for clip in clips[:12]}
    for method in (TWO_STAGE, CONTRASTIVE):
        learner = learner_of(method, tmp_path / "backbone", pool, source)
        learner.adapt(clips, tmp_path / method)
        model = learner.train(known, {}, clips).model
        for strategy in ("entropy", "bald", "batchbald", "alps", "typiclust-margin", "anchoral"):
            assert len(learner.rank(model, clips, 3, known, strategy).picks) == 3
        assert learner.predict(model, []).shape == (0, 3)


def test_stage_1_runs_again_every_so_many_labels_and_rounds_share_its_files(told: Corpus, tmp_path: Path) -> None:
    pool, clips, labels = told
    learner = TwoStageLearner(small(), SCHEMA, Runtime(pool=pool), PRACTICAL, ADAPTERS)

    def train(count: int, previous):
        known = {clip.id: labels[clip.id] for clip in clips[:count]}
        return learner.train(known, {}, clips, previous)

    first = train(8, None)
    first.model.save(tmp_path / "1")
    loaded = METHODS[TWO_STAGE].load(tmp_path / "1")
    second = train(17, loaded)
    second.model.save(tmp_path / "2")
    assert (first.tuned.warm, second.tuned.warm) == (False, True)
    assert len(second.tuned.losses) < len(first.tuned.losses)
    weights = [tmp_path / number / "stage-1/backbone/model.safetensors" for number in "12"]
    assert weights[0].samefile(weights[1])
    third = train(18, METHODS[TWO_STAGE].load(tmp_path / "2"))
    assert not third.tuned.warm
    assert third.model.first_labels == 18
    again = TwoStageLearner(small(seed=1), SCHEMA, Runtime(pool=pool), PRACTICAL, ADAPTERS)
    known = {clip.id: labels[clip.id] for clip in clips[:10]}
    assert not again.train(known, {}, clips, loaded).tuned.warm, "another backbone"


def test_the_source_loses_the_test_sets_speakers_and_labels_known_so_far_join_it(
    told: Corpus, source: Source, tmp_path: Path
) -> None:
    pool, clips, labels = told
    backbone = small()
    learner = ContrastiveLearner(backbone, SCHEMA, Runtime(pool=pool), PRACTICAL, CONTRAST, source=source)
    speaker = source.clips[0].clip.speaker
    tested = replace(clips[0], speaker=speaker)
    others = [tested, *clips[1:]]
    found = learner._stage_1_clips(others, {clip.id: labels[clip.id] for clip in clips[:6]}, {tested.id})
    assert speaker in {one.clip.speaker for one in source.clips}
    assert speaker not in {one.clip.speaker for one in found}
    own = {one.clip.id for one in found if one.corpus == TARGET}
    assert own == {clip.id for clip in clips[1:6]}
    assert all(id in source.pool for id in own)
    one_emotion = {clip.id: np.eye(3)[0] for clip in clips[:6]}
    assert TARGET not in {one.corpus for one in learner._stage_1_clips(others, one_emotion, ())}


def test_the_same_audio_under_another_name_is_the_same_speaker(source: Source) -> None:
    twin = replace(source.clips[0].clip, speaker="somebody else")
    left = source.without([twin])
    assert len(left) < len(source.clips) - 1
    gone = {(one.corpus, one.clip.speaker) for one in source.clips} - {(one.corpus, one.clip.speaker) for one in left}
    assert gone == {(source.clips[0].corpus, source.clips[0].clip.speaker)}


def test_adapting_is_not_repeated_until_the_source_changes(told: Corpus, source: Source, tmp_path: Path) -> None:
    pool, clips, _ = told
    small().save(tmp_path / "backbone")
    first = learner_of(CONTRASTIVE, tmp_path / "backbone", pool, source).adapt(clips, tmp_path / "adapted")
    again = learner_of(CONTRASTIVE, tmp_path / "backbone", pool, source).adapt(clips, tmp_path / "adapted")
    assert again == first
    assert first.made_for == "supervised-contrastive with tones"
    other = learner_of(CONTRASTIVE, tmp_path / "backbone", pool, replace(source, name="others"))
    assert other.adapt(clips, tmp_path / "adapted").made_for.endswith("others")
    assert not (tmp_path / "adapted.part").exists()
    with pytest.raises(CorpusError, match="Set `source`"):
        ContrastiveLearner(small(), SCHEMA, Runtime(pool=pool), PRACTICAL, CONTRAST).adapt(clips, tmp_path / "new")


def test_tapt_comes_first_where_the_config_has_it(told: Corpus, source: Source, tmp_path: Path) -> None:
    pool, clips, _ = told
    quick = PretrainingConfig(mask_span=1, batch_seconds=5.0, passes=1.0, validations=2)
    config = replace(PAPER, tapt=quick)
    method = replace(CONTRAST, tapt=True)
    learner = ContrastiveLearner(small(), SCHEMA, Runtime(pool=pool), config, method, source=source)
    record = learner.adapt(clips, tmp_path / "adapted")
    assert len(record.curve) > 1
    assert "Then the transformer learned emotions from" in record.reason
    two = TwoStageLearner(small(), SCHEMA, Runtime(pool=pool), config, replace(ADAPTERS, tapt=True))
    assert len(two.adapt(clips, tmp_path / "two").curve) > 1


def test_stage_1_changes_the_transformer_alone(told: Corpus, source: Source, tmp_path: Path) -> None:
    pool, clips, _ = told
    small().save(tmp_path / "backbone")
    learner = learner_of(CONTRASTIVE, tmp_path / "backbone", pool, source)
    before = small().body.state_dict()
    learner.adapt(clips, tmp_path / "adapted")
    after = learner.backbone.body.state_dict()
    changed = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert changed
    assert all(name.startswith("encoder.") for name in changed)


@pytest.mark.parametrize("method", NAMES)
def test_a_folder_of_something_else_is_no_round(method: str, tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"Train a round again|train a round again"):
        METHODS[method].load(tmp_path)


def test_names_and_registry_are_the_same() -> None:
    assert tuple(METHODS) == NAMES
    said: Sequence[str] = [method.follows for method in METHODS.values()]
    assert len(set(said)) == len(NAMES)
