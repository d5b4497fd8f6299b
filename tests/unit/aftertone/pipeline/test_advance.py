"""The loop in memory: what annotators are served, and what becomes of what they do."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from aftertone.errors import FetchError
from aftertone.faults import BUG
from aftertone.labelstudio.client import LabelStudio
from aftertone.pipeline.advance import Advance
from aftertone.pipeline.steps import LearningSteps
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore
from aftertone.store.records import Doing, Problem, Quiet, Source, Sources, Warnings
from aftertone.store.round_scores import Score
from aftertone.store.rounds import Round
from aftertone_model.learner import Learner
from tests.unit.aftertone.fake_label_studio import CONFIG, FakeLabelStudio
from tests.unit.aftertone.loops import MemoryLoop, connect

MakeLoop = Callable[..., MemoryLoop]


def clip_of(loop: MemoryLoop, task: int) -> str | None:
    return loop.store.get(Sources).sources[f"/data/upload/1/tone-{task}.wav"].clip


def test_seed_train_rank_publish(make_loop: MakeLoop) -> None:
    loop = make_loop(24)
    loop.advance()
    loop.check_queue()
    seed = loop.last
    assert (seed.kind, seed.labels, seed.batch) == ("seed", 0, 6)
    assert sorted(seed.published) == list(range(1, 25))
    served = loop.label(6)
    assert served == list(seed.published[:6])
    loop.advance()
    loop.check_queue()
    assert (loop.last.kind, loop.last.labels) == ("trained", 6)
    assert not set(loop.last.published) & set(served)
    assert loop.store.scores(1)[1].keys() == set(range(1, 25))
    loop.label(6)
    loop.advance()
    loop.check_queue()
    assert loop.last.labels == 12
    test_clips = loop.store.load().test_clips
    assert test_clips
    assert not test_clips & loop.last.labelled.keys()
    assert loop.last.test_answers.keys() == test_clips  # also of those that nobody has labelled yet
    assert loop.last.tested.keys() < test_clips


def test_the_log_says_which_device_computes(make_loop: MakeLoop, caplog: pytest.LogCaptureFixture) -> None:
    loop = make_loop(12)
    with caplog.at_level("INFO", logger="aftertone"):
        loop.advance()
    assert "Project 1: computing on cpu" in caplog.text


def test_strategies_see_the_labels_trained_on_and_none_of_the_test_set(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[set[str], set[str]]] = []
    rank = Learner.rank

    def watched(self: Learner, classifier: Any, clips: Any, k: int, labels: Any, strategy: str | None) -> Any:
        seen.append(({clip.id for clip in clips}, set(labels)))
        return rank(self, classifier, clips, k, labels, "coreset")

    monkeypatch.setattr(Learner, "rank", watched)
    loop = make_loop(24)
    loop.advance()
    for _ in range(2):
        loop.label(6)
        loop.advance()
        loop.check_queue()
    test_clips = loop.store.load().test_clips
    assert test_clips & loop.last.tested.keys()
    assert loop.last.memory > 50_000_000  # bytes that the process has taken, torch among them
    given, labelled = seen[-1]
    assert labelled == set(loop.last.labelled)
    assert labelled < given
    assert not test_clips & given
    assert len(given - labelled) == 24 - 12 - len(test_clips - loop.last.tested.keys())


def test_nothing_new_changes_nothing(make_loop: MakeLoop) -> None:
    loop = make_loop()
    loop.advance()
    calls = list(loop.label_studio.calls)
    loop.label(2)
    loop.advance()
    assert loop.label_studio.calls == calls
    assert loop.store.round_numbers() == [0]
    doing = loop.store.read(Doing)
    assert doing is not None
    assert doing.stage == "waiting for labels: 2 of 6 since round 0"


def test_edits_deletions_skips_and_labels_outside_the_config(make_loop: MakeLoop) -> None:
    loop = make_loop(24)
    loop.advance()
    skipped, edited, deleted, unknown, *plain = loop.last.published[:10]
    loop.label_studio.annotate(skipped, skip=True)
    loop.label_studio.annotate(edited, "happy")
    loop.label_studio.annotate(edited, "sad")  # the same person's second try replaces the first
    loop.label_studio.annotate(unknown, "zebra")
    loop.label_studio.delete_task(deleted)
    for number, task in enumerate(plain):
        loop.label_studio.annotate(task, ("neutral", "happy")[number % 2])
    loop.advance()
    loop.check_queue()
    known = {**loop.last.labelled, **loop.last.tested}
    assert set(known) == {clip_of(loop, task) for task in (edited, *plain)}
    assert known[str(clip_of(loop, edited))] == (0.0, 0.0, 1.0)
    assert loop.last.published[-1] == skipped
    assert deleted not in loop.last.published
    assert any("'zebra'" in warning for warning in loop.store.get(Warnings).warnings)


def test_imported_again_the_same_audio_is_the_same_clip(make_loop: MakeLoop) -> None:
    loop = make_loop(12)
    loop.advance()
    clips = len({row.clip for row in loop.store.get(Sources).sources.values()})
    again = loop.label_studio.add_task(audio="/data/upload/1/again-tone-3.wav")
    loop.advance()
    assert clip_of(loop, 3) == loop.store.get(Sources).sources["/data/upload/1/again-tone-3.wav"].clip
    assert len({row.clip for row in loop.store.get(Sources).sources.values()}) == clips
    assert again not in loop.last.published


def test_start_training_begins_with_what_there_is(make_loop: MakeLoop) -> None:
    loop = make_loop()
    loop.advance()
    test_clips = loop.store.load().test_clips
    trainable = [task for task in loop.last.published if clip_of(loop, task) not in test_clips]
    loop.label_studio.annotate(trainable[0], "happy")
    loop.label_studio.annotate(trainable[1], "sad")
    loop.store.request_training()
    loop.advance()
    loop.check_queue()
    assert loop.last.labels == 2
    assert not loop.store.train_requested


def test_a_class_added_is_trained_at_once(make_loop: MakeLoop) -> None:
    loop = make_loop()
    loop.advance()
    loop.label(6)
    loop.advance()
    more = CONFIG.replace('<Choice value="sad"/>', '<Choice value="sad"/><Choice value="angry"/>')
    loop.label_studio.state["project"]["label_config"] = more
    loop.advance()
    loop.check_queue()
    assert (loop.last.number, loop.last.classes) == (2, ("neutral", "happy", "sad", "angry"))


def test_tasks_that_vanish_while_publishing_only_leave_the_queue(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = make_loop(12)
    real, gone = loop.label_studio.import_predictions, []

    def late(project: int, rows: Sequence[Mapping[str, Any]]) -> int:
        if not gone:
            gone.append(rows[0]["task"])
            loop.label_studio.delete_task(gone[0])
        return real(project, rows)

    monkeypatch.setattr(loop.label_studio, "import_predictions", late)
    loop.advance()
    loop.check_queue()
    assert loop.label_studio.queue()[0] == loop.last.published[1]


def test_prelabels_show_the_models_label(make_loop: MakeLoop) -> None:
    loop = make_loop(20, prelabel=True)
    loop.advance()
    loop.label(6)
    loop.advance()
    answers = loop.store.answers(1)
    for row in loop.label_studio.state["predictions"]:
        assert row["result"][0]["value"]["choices"] == list(answers[row["task"]])


def test_one_bad_clip_costs_one_clip(make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = make_loop(12)
    real = loop.fetcher.fetch

    def fetch(task: int, source: str, file: BinaryIO) -> None:
        if task == 3:
            raise FetchError("The host sleeps.")
        if task == 4:
            file.write(b"no audio")
        else:
            real(task, source, file)

    monkeypatch.setattr(loop.fetcher, "fetch", fetch)
    loop.advance()
    loop.check_queue()
    rows = loop.store.get(Sources).sources
    asleep, broken = rows["/data/upload/1/tone-3.wav"], rows["/data/upload/1/tone-4.wav"]
    assert (asleep.error, asleep.retry, broken.retry) == ("The host sleeps.", True, False)
    assert set(loop.last.published) == set(range(1, 13)) - {3, 4}


def test_a_step_that_fails_is_remembered_and_tried_again_later(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = make_loop(12)
    with monkeypatch.context() as patch:
        patch.setattr(LearningSteps, "adapt", lambda self: 1 / 0)
        loop.advance()
        assert loop.problem == f"ZeroDivisionError: division by zero. {BUG}"
        loop.advance()  # too early for another try
        problem = loop.store.read(Problem)
        assert problem is not None
        assert (problem.step, problem.times) == ("adapt the backbone", 1)
        assert 0 < loop.alarms[-1] <= 60
    loop.store.save(problem.model_copy(update={"at": problem.at - 3600}))
    loop.advance()
    loop.check_queue()


def test_progress_says_since_when_and_from_where_a_stage_goes(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = make_loop(0)
    monkeypatch.setattr("time.time", iter([100.0, 130.0, 200.0, 230.0]).__next__)
    advance = Advance(1, loop.settings, loop.alarms.append)
    seen = []
    for report in (("fetch", 1, 9), ("fetch", 4, 9), ("train", 0, 50), ("train", 25, 50)):
        advance._save_progress(*report)
        doing = loop.store.read(Doing)
        assert doing is not None
        seen.append((doing.began, doing.first, doing.left))
    assert seen == [(100.0, 1, None), (100.0, 1, 50.0), (200.0, 0, None), (200.0, 0, 30.0)]


@pytest.mark.parametrize("reply", [None, [], {"title": "no config"}])
def test_a_strange_reply_of_label_studio_is_no_bug(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch, reply: object
) -> None:
    loop = make_loop(4)
    monkeypatch.setattr(loop.label_studio, "project", lambda project: reply)
    loop.advance()
    assert "LABEL_STUDIO_URL" in loop.problem
    assert "bug" not in loop.problem
    monkeypatch.undo()
    loop.advance()
    assert loop.problem == ""


@pytest.mark.parametrize(("ahead", "settle"), [(86_400.0, 0.0), (10 * 365 * 86_400.0, 3600.0), (1e300, 0.0)])
def test_records_of_a_clock_that_was_ahead_hold_nothing_up(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch, ahead: float, settle: float
) -> None:
    loop = make_loop(4)
    loop.settings = loop.settings.model_copy(update={"settle_seconds": settle})
    shape, then = (4, 4), time.time() + ahead
    loop.store.save(Quiet(shape=shape, since=then))
    loop.store.save(Problem(message="It failed.", step="fetch audio", times=9, at=then))
    loop.store.save(Doing(stage="fetch", done=1, total=2, at=then))
    tried = {f"/data/upload/1/tone-{n}.wav": Source(error="It slept.", retry=True, at=then) for n in (1, 2)}
    loop.store.save(Sources(sources=tried))
    loop.advance()
    assert all(row.clip for row in loop.store.get(Sources).sources.values())
    quiet = loop.store.read(Quiet)
    assert quiet is not None
    assert quiet.since <= time.time()
    if settle:
        assert 0 < loop.alarms[-1] <= settle
        later = time.time() + settle
        monkeypatch.setattr(time, "time", lambda: later)
        loop.advance()
    loop.check_queue()


def test_something_that_is_undone_at_once_stops_the_loop(make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = make_loop(12)
    monkeypatch.setattr(loop.label_studio, "update_project", lambda project, **values: None)
    loop.advance()
    assert "second backend" in loop.problem
    assert isinstance(loop.label_studio, LabelStudio)


def test_several_choices_per_clip_are_learned_ranked_and_shown(settings: Settings, nano: Path) -> None:
    config = CONFIG.replace('choice="single"', 'choice="multiple"')
    loop = connect(FakeLabelStudio(tasks=20, label_config=config), settings, nano, {"prelabel": True})
    loop.advance()
    for number, task in enumerate(loop.label_studio.queue()[:6]):
        loop.label_studio.annotate(task, *(("neutral", "happy") if number % 2 else ("happy", "sad")))
    loop.advance()
    loop.check_queue()
    record = loop.last
    assert (record.kind, record.label_kind) == ("trained", "multiple-choice")
    assert set(record.labelled.values()) | set(record.tested.values()) == {(1.0, 1.0, 0.0), (0.0, 1.0, 1.0)}
    shown = [row["result"][0]["value"]["choices"] for row in loop.label_studio.state["predictions"] if row["result"]]
    assert shown
    assert sum("happy" in choices for choices in shown) > 0.7 * len(shown)  # as every annotator said
    assert any(len(choices) > 1 for choices in shown)


def test_a_worker_that_comes_too_late_leaves_its_successors_round_alone(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop = make_loop(24)
    loop.advance()
    loop.label(6)
    complete, calls = ProjectStore.complete_round, []

    def late(self: ProjectStore, record: Round, scores: Sequence[Score], *others: Any) -> None:
        monkeypatch.undo()
        os.utime(loop.store.folder / "lease.json", (0, 0))  # as if this worker had stood still since it had trained
        loop.advance()
        calls.extend(loop.label_studio.calls)
        complete(self, record, scores, *others)

    monkeypatch.setattr(ProjectStore, "complete_round", late)
    loop.advance()
    assert loop.store.round_numbers() == [0, 1]
    assert loop.label_studio.calls == calls
    loop.check_queue()  # and no problem is recorded
    assert "This job ends." in caplog.text


def test_a_worker_that_comes_too_late_changes_nothing_in_label_studio(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = make_loop(24)
    loop.advance()
    loop.label(6)
    counts = loop.label_studio.prediction_counts

    def late(project: int) -> dict[str, int]:
        found = counts(project)
        if loop.store.round_numbers() == [0, 1] and loop.store.current == 0 and not served:
            served.append("late")
            os.utime(loop.store.folder / "lease.json", (0, 0))
            loop.advance()
            loop.label(6)
            loop.advance()
            served.append(loop.last.version)
        return found

    served: list[str] = []
    monkeypatch.setattr(loop.label_studio, "prediction_counts", late)
    loop.advance()
    assert served == ["late", loop.store.round(2).version]
    loop.check_queue()


def test_while_another_worker_has_the_project_nothing_is_done(make_loop: MakeLoop) -> None:
    loop = make_loop(12)
    with loop.store.only_writer():
        loop.advance()
    assert loop.store.round_numbers() == []
    loop.advance()
    assert loop.store.round_numbers() == [0]


@pytest.mark.parametrize("left", ["none", "half", "twice"])
def test_predictions_that_are_gone_or_doubled_are_published_again(make_loop: MakeLoop, left: str) -> None:
    loop = make_loop(12)
    loop.advance()
    rows = loop.label_studio.state["predictions"]
    loop.label_studio.state["predictions"] = {"none": [], "half": rows[::2], "twice": [*rows, *rows]}[left]
    loop.advance()
    loop.check_queue()


def test_a_queue_that_ends_before_the_next_round_goes_on_with_the_same_ranking(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = make_loop(40)
    loop.settings = loop.settings.model_copy(update={"queue_factor": 2, "batch_size": 6})
    loop.advance()
    loop.label(6)
    loop.advance()
    whole = [score.task for score in loop.store.scores(1)[1].values() if score.rank is not None]
    assert len(whole) == 40 - 6
    assert loop.last.published == tuple(whole[:12])
    monkeypatch.setattr(LearningSteps, "train", lambda self: 1 / 0)  # no round comes
    served: list[int] = []
    while len(served) < 34:
        served += loop.label(3)
        loop.advance()
        version = loop.label_studio.state["project"]["model_version"]
        assert version.startswith(loop.last.version)
        assert {row["model_version"] for row in loop.label_studio.state["predictions"]} == {version}
        assert loop.label_studio.queue() or len(served) == 34
        if len(served) == 33:
            served += loop.label(1)
    assert served == whole
    assert loop.store.round_numbers() == [0, 1]
    monkeypatch.undo()
    loop.store.remove(Problem)
    loop.label_studio.add_task()
    loop.advance()
    loop.check_queue()
    assert loop.last.number == 2


def test_a_step_is_told_as_soon_as_it_begins(make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, told = make_loop(24), []
    seed = LearningSteps.seed

    def watched(self: LearningSteps) -> None:
        told.append(loop.store.get(Doing).stage)
        seed(self)

    monkeypatch.setattr(LearningSteps, "seed", watched)
    loop.advance()
    assert told == ["find the seed set"]
