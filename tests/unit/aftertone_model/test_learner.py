import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from aftertone_model.acquisition import STRATEGIES, Ranked, StrategyError, suitable
from aftertone_model.acquisition.seeding import SEEDINGS
from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.config import PAPER, PRACTICAL, TAPT_PROFILES, PretrainingConfig, Tuning
from aftertone_model.data.pool import Pool
from aftertone_model.errors import LabelError
from aftertone_model.evaluation.metrics import Metrics
from aftertone_model.labels import SingleChoice
from aftertone_model.learner import Learner
from aftertone_model.runtime import Runtime

SCHEMA = SingleChoice(classes=("low", "middle", "high"))
QUICK = replace(PRACTICAL, updates=30, epochs=1, batch_seconds=8.0)


@pytest.fixture
def learner(extracted, backbone):
    return Learner(backbone, SCHEMA, Runtime(pool=extracted[0]), QUICK)


@pytest.fixture(scope="module")
def trained(extracted, backbone):
    pool, clips, labels = extracted
    taught = {clip.id: labels[clip.id] for clip in clips[:30]}
    test = {clip.id: labels[clip.id] for clip in clips[48:]}
    return Learner(backbone, SCHEMA, Runtime(pool=pool), QUICK).train(taught, test, clips)


def test_a_round_end_to_end(learner, extracted):
    _, clips, labels = extracted
    candidates, test = clips[:48], {clip.id: labels[clip.id] for clip in clips[48:]}
    seeded = learner.seed(candidates, 12)
    assert sorted(seeded.order) == sorted(clip.id for clip in candidates)
    assert seeded.predictions is None
    training = learner.train({id: labels[id] for id in seeded.picks}, test, clips)
    assert training.labels == 12
    assert isinstance(training.metrics, Metrics)
    assert training.metrics.clips == 12
    assert training.metrics.ua.value > 0.6
    assert sum(training.per_class) == 12
    ranking = learner.rank(training.model, candidates, 5, {id: labels[id] for id in seeded.picks})
    assert len(ranking.picks) == 5
    assert len(ranking.order) == 36
    assert not set(ranking.order) & set(seeded.picks)


@pytest.mark.parametrize("strategy", suitable("probabilities"))
@pytest.mark.parametrize("labelled", [0, 30])
def test_every_strategy_ranks(learner, trained, extracted, strategy, labelled):
    _, clips, labels = extracted
    candidates = clips[30:48]
    known = {clip.id: labels[clip.id] for clip in clips[:labelled]}
    ranking = learner.rank(trained.model, [*clips[:labelled], *candidates], 4, known, strategy)
    assert sorted(ranking.order) == sorted(clip.id for clip in candidates)
    assert ranking.strategy == strategy
    assert ranking.scores.shape == (18,)
    assert np.isfinite(ranking.scores).all()
    assert ranking.predictions is not None
    expected = learner.predict(trained.model, candidates)
    rows = [next(i for i, clip in enumerate(candidates) if clip.id == id) for id in ranking.order]
    assert ranking.predictions == pytest.approx(expected[rows], abs=1e-4)


@pytest.mark.parametrize("seeding", SEEDINGS)
def test_every_seeding_spreads_over_the_tones(extracted, backbone, seeding):
    pool, clips, labels = extracted
    picks = Learner(backbone, SCHEMA, Runtime(pool=pool), replace(QUICK, seeding=seeding)).seed(clips, 9).picks
    assert len({labels[id].argmax() for id in picks}) == 3


def test_labelled_clips_are_not_asked_for_again(learner, extracted):
    _, clips, _ = extracted
    labelled = clips[:20]
    assert not {clip.id for clip in labelled} & set(learner.seed(clips, 5, labelled).order)


def test_the_order_of_the_pool_changes_no_pick(learner, trained, extracted):
    _, clips, labels = extracted
    known = {clip.id: labels[clip.id] for clip in clips[:30]}
    for strategy in suitable("probabilities"):
        forwards = learner.rank(trained.model, clips, 5, known, strategy)
        backwards = learner.rank(trained.model, clips[::-1], 5, dict(reversed(known.items())), strategy)
        assert forwards.order == backwards.order


def test_a_strategy_sees_the_labelled_clips_as_the_classifier_does(learner, trained, extracted, monkeypatch):
    _, clips, labels = extracted
    known = {clip.id: labels[clip.id] for clip in clips[20:10:-1]}
    seen = []
    watching = replace(STRATEGIES["coreset"], function=lambda inputs, k, rng: seen.append(inputs) or Ranked.by_score(
        np.arange(inputs.candidates, dtype=float), k
    ))  # fmt: skip
    monkeypatch.setitem(STRATEGIES, "coreset", watching)
    learner.rank(trained.model, clips, 5, known, "coreset")
    (inputs,) = seen
    by_id = sorted(known)
    assert inputs.candidates == 50
    assert np.array_equal(inputs.labelled.labels, [labels[id] for id in by_id])
    expected = learner.predict(trained.model, [next(c for c in clips if c.id == id) for id in by_id])
    assert inputs.labelled.predictions == pytest.approx(expected, abs=1e-5)
    assert inputs.labelled.embeddings.shape == (10, inputs.embeddings.shape[1])


def test_a_labelled_clip_that_is_not_given_is_named(learner, trained, extracted):
    _, clips, labels = extracted
    with pytest.raises(LabelError, match=f"{clips[0].id}.*labelled clips too"):
        learner.rank(trained.model, clips[1:], 5, {clips[0].id: labels[clips[0].id]}, "coreset")


def test_a_share_of_a_batch_is_drawn_anew_in_each_round(extracted, backbone, trained):
    pool, clips, labels = extracted
    picks = {}
    for share in (0.0, 0.5):
        learner = Learner(backbone, SCHEMA, Runtime(pool=pool), replace(QUICK, random_share=share))
        for taught in (10, 11):
            known = {clip.id: labels[clip.id] for clip in clips[:taught]}
            ranking = learner.rank(trained.model, clips, 10, known, "margin")
            picks[share, taught] = ranking.picks
    drawn = {taught: set(picks[0.5, taught]) - set(picks[0.0, taught]) for taught in (10, 11)}
    assert 2 <= len(drawn[10]) <= 5
    assert drawn[10] != drawn[11]


def test_seeds_see_what_the_transformer_makes_of_clips_and_keep_it_for_the_probe(tones, backbone, tmp_path):
    heard, pool = tones[0], Pool(tmp_path / "pool")
    clips = [pool.add(heard.waveform(clip.id)) for clip in tones[1]]
    learner = Learner(backbone, SCHEMA, Runtime(pool=pool), QUICK)
    learner.seed(clips, 5)
    assert list((pool.folder / "layers").glob("*/*.npy"))
    representations = learner._features.represent(clips)
    assert representations.shape == (60, 60)  # no more principal components than clips
    spread = representations.std(axis=0)
    assert spread[0] > spread[10] > 0
    one_voice = replace(QUICK, speakers=False)
    named = [replace(clip, speaker="s1" if number < 30 else "s2") for number, clip in enumerate(clips)]
    apart = [
        np.linalg.norm(found[:30].mean(axis=0) - found[30:].mean(axis=0))
        for found in (
            Learner(backbone, SCHEMA, Runtime(pool=pool), config)._features.represent(named)
            for config in (QUICK, one_voice)
        )
    ]
    assert apart[0] < 0.5 * apart[1]  # what tells speakers apart is taken out
    assert learner.seed([], 5).picks == ()


def test_the_papers_seeds_see_mean_cnn_frames(extracted, backbone, monkeypatch):
    pool, clips, _ = extracted
    monkeypatch.setattr(Learner, "_features", None)  # not called
    assert len(Learner(backbone, SCHEMA, Runtime(pool=pool), PAPER).seed(clips, 5).picks) == 5


def test_no_candidates_no_order(learner, trained):
    ranking = learner.rank(trained.model, [], 5)
    assert (ranking.order, ranking.picks) == ((), ())


def test_test_clips_are_never_trained_on(learner, extracted):
    _, clips, labels = extracted
    everything = {clip.id: labels[clip.id] for clip in clips}
    test = {clip.id: labels[clip.id] for clip in clips[40:]}
    assert learner.train(everything, test, clips).labels == 40


def test_without_a_test_set_there_are_no_figures(learner, extracted):
    _, clips, labels = extracted
    training = learner.train({clip.id: labels[clip.id] for clip in clips[:6]}, {}, clips)
    assert (training.metrics, training.temperature) == (None, 1.0)


def test_votes_that_tie_are_not_tested(learner, extracted):
    _, clips, labels = extracted
    test = {clips[50].id: np.array([0.5, 0.5, 0.0]), clips[51].id: labels[clips[51].id]}
    training = learner.train({clip.id: labels[clip.id] for clip in clips[:6]}, test, clips)
    assert training.metrics is not None
    assert training.metrics.clips == 1


def test_the_temperature_is_in_the_weights_and_moves_no_prediction(extracted, backbone, monkeypatch):
    pool, clips, labels = extracted
    taught = {clip.id: labels[clip.id] for clip in clips[:30]}
    rng = np.random.default_rng(0)
    test = {clip.id: np.eye(3)[rng.integers(3)] for clip in clips[30:]}  # labels by chance: confidence is unwarranted
    cold = Learner(backbone, SCHEMA, Runtime(pool=pool), QUICK).train(taught, test, clips)
    assert cold.temperature == 1.0  # too few test clips
    monkeypatch.setattr("aftertone_model.evaluation.calibration.MIN_CLIPS", 20)
    scaled = Learner(backbone, SCHEMA, Runtime(pool=pool), QUICK).train(taught, test, clips)
    assert scaled.temperature > 1
    assert cold.model.head is not None
    assert scaled.model.head is not None
    expected = cold.model.head.known.weight / scaled.temperature
    assert scaled.model.head.known.weight.numpy() == pytest.approx(expected.numpy(), rel=1e-5)
    ratio = cold.model.classifier.classifier.weight / scaled.model.classifier.classifier.weight
    assert ratio.detach().std().item() == pytest.approx(0, abs=1e-4)  # the plain classifier has a temperature too
    assert ratio.mean().item() > 1
    assert isinstance(scaled.metrics, Metrics)
    assert isinstance(cold.metrics, Metrics)
    assert scaled.metrics.confusion == cold.metrics.confusion
    assert scaled.metrics.ece < cold.metrics.ece


def test_with_few_test_clips_the_exported_classifier_is_as_sure_as_what_judges(extracted, backbone):
    pool, clips, labels = extracted
    learner = Learner(backbone, SCHEMA, Runtime(pool=pool), replace(QUICK, updates=200))
    taught, test = ({clip.id: labels[clip.id] for clip in some} for some in (clips[:6], clips[-2:]))
    training = learner.train(taught, test, clips)
    assert training.temperature == 1.0
    judge, plain = training.model, replace(training.model, head=None)
    sure, exported = (learner.predict(model, clips[6:-2]).max(axis=1).mean() for model in (judge, plain))
    assert exported == pytest.approx(sure, abs=0.1)
    assert isinstance(training.plain_metrics, Metrics)
    assert training.plain_metrics.ece == pytest.approx(
        1 - learner.predict(plain, clips[-2:]).max(axis=1).mean(), abs=0.02
    )


@pytest.mark.parametrize(
    ("label", "complaint"),
    [([0.5, 0.5], "must be 3 shares"), ([0.5, 0.2, 0.0], "must be 3 shares"), ([1.5, -0.5, 0.0], "must be 3 shares")],
)
def test_labels_are_checked(learner, extracted, label, complaint):
    clips = extracted[1]
    with pytest.raises(LabelError, match=complaint):
        learner.train({clips[0].id: np.array(label)}, {}, clips)


def test_no_labels_is_an_error_that_says_what_to_do(learner, extracted):
    with pytest.raises(LabelError, match="Label some clips first"):
        learner.train({}, {}, extracted[1])


def test_a_label_for_an_unknown_clip_is_refused(learner, extracted):
    with pytest.raises(LabelError, match="not among the clips"):
        learner.train({"nobody": np.array([1.0, 0.0, 0.0])}, {}, extracted[1])


def test_an_unknown_strategy_is_refused(learner, trained, extracted):
    with pytest.raises(StrategyError):
        learner.rank(trained.model, extracted[1], 5, strategy="guess")


def test_adapting_changes_the_backbone_and_a_complete_folder_is_taken(extracted, backbone, folder):
    pool, clips, _ = extracted
    learner = Learner(backbone, SCHEMA, Runtime(pool=pool), QUICK)
    first = learner.adapt(clips, folder)
    again = Learner(backbone, SCHEMA, Runtime(pool=pool), QUICK).adapt(clips, folder)
    assert again == first
    assert learner.backbone is not backbone
    assert learner.seed(clips, 5).picks == Learner(backbone, SCHEMA, Runtime(pool=pool), QUICK).seed(clips, 5).picks


PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
from dataclasses import replace
from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.learner import Learner
from aftertone_model.data.pool import Pool
from aftertone_model.config import PRACTICAL
from aftertone_model.labels import SingleChoice
from aftertone_model.runtime import Runtime

pool = Pool(Path(given["pool"]))
clips = [pool.clip(id) for id in given["labels"]]
config = replace(PRACTICAL, updates=10, epochs=1)
schema = SingleChoice(classes=("a", "b", "c"))
learner = Learner(load_backbone(given["backbone"]), schema, Runtime(pool=pool, seed=7), config)
labels = {id: np.array(label) for id, label in given["labels"].items()}
training = learner.train(dict(list(labels.items())[:12]), {}, clips)
picks = {s: learner.rank(training.model, clips[12:], 6, strategy=s).picks for s in given["strategies"]}
answer = json.dumps([learner.seed(clips, 6).picks, picks])
"""


def test_same_seed_same_picks_in_a_fresh_process(extracted, backbone, folder):
    pool, clips, labels = extracted
    backbone.save(folder)
    given = {
        "pool": str(pool.folder),
        "backbone": str(folder),
        "labels": {clip.id: labels[clip.id].tolist() for clip in clips},
        "strategies": ["random", "entropy-clusters", "batchbald", "badge"],
    }
    here = {"given": given}
    exec(PROGRAM, here)
    done = subprocess.run(
        [sys.executable, "-c", f"import json, sys\ngiven = json.loads(sys.stdin.read())\n{PROGRAM}\nprint(answer)"],
        input=json.dumps(given),
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(str(here["answer"]))


def test_another_seed_other_picks_where_chance_is_meant(learner, trained, extracted, backbone):
    pool, clips, _ = extracted
    other = Learner(backbone, SCHEMA, Runtime(pool=pool, seed=1), QUICK)
    for strategy in ("random", "powerbald"):
        ours, theirs = (one.rank(trained.model, clips, 6, strategy=strategy).picks for one in (learner, other))
        assert ours != theirs


def test_tuning_follows_the_number_of_labels(extracted, backbone):
    pool, clips, labels = extracted
    learner = Learner(backbone, SCHEMA, Runtime(pool=pool), replace(QUICK, tuning=Tuning.FULL, tuning_from=20))
    for count, tuning in ((19, Tuning.PROBE), (20, Tuning.FULL)):
        tuned = learner.train({clip.id: labels[clip.id] for clip in clips[:count]}, {}, clips).tuned
        assert tuned.tuning is tuning


def test_the_papers_preset_adapts_as_the_paper_whatever_the_backbone(extracted, backbone):
    runtime = Runtime(pool=extracted[0])
    mini = load_backbone("aftertone-mini")
    assert Learner(mini, SCHEMA, runtime).tapt == TAPT_PROFILES["brief"]
    assert Learner(mini, SCHEMA, runtime, PAPER).tapt == PretrainingConfig()
    assert Learner(backbone, SCHEMA, runtime).tapt == PretrainingConfig()
    assert PretrainingConfig().learning_rate == 1e-4


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mix_layers": False},
        {"clip_head": False},
        {"warm_start": True, "few_labels_tuning": Tuning.FULL, "tuning": Tuning.PROBE, "tuning_from": 15},
    ],
)
def test_judge_gives_the_model_of_train(extracted, backbone, changes) -> None:
    pool, clips, labels = extracted
    first, second = (Learner(backbone, SCHEMA, Runtime(pool=pool), replace(QUICK, **changes)) for _ in range(2))
    first.seed(clips, 5)
    second.seed(clips, 5)
    trained, judging = None, None
    for count in (9, 30):
        taught = {clip.id: labels[clip.id] for clip in clips[:count]}
        trained = first.train(taught, {}, clips, trained).model
        judging = second.judge(taught, clips, judging)
        assert first.predict(trained, clips) == pytest.approx(second.predict(judging, clips), abs=1e-6)
