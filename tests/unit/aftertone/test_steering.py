"""Steering a project by command: what a worker does then, and what annotators are served."""

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone.errors import LabelConfigError, LabelStudioError, NotKeptError, SettingsError, StoreError
from aftertone.labelstudio.client import LabelStudio
from aftertone.pipeline.advance import Advance
from aftertone.pipeline.steps import LearningSteps
from aftertone.settings import Settings
from aftertone.steering import Steering
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Connection, Doing
from aftertone_model.errors import MethodError
from tests.unit.aftertone.fake_label_studio import FakeLabelStudio
from tests.unit.aftertone.loops import MemoryLoop, connect

MakeLoop = Callable[..., MemoryLoop]


def steering_of(loop: MemoryLoop, label_studio: LabelStudio | None = None) -> Steering:
    @contextmanager
    def ask() -> Iterator[LabelStudio]:
        yield label_studio or loop.label_studio

    return Steering(loop.settings, lambda project: True, ask)


def rounds(loop: MemoryLoop, count: int) -> None:
    """Make so many rounds with a model."""
    loop.advance()
    for _ in range(count):
        loop.label(6)
        loop.advance()


def doing(loop: MemoryLoop) -> str:
    found = loop.store.read(Doing)
    return found.stage if found else ""


# -- pause, resume, cancel ----------------------------------------------------------------------------------------


def test_a_paused_project_does_nothing_and_goes_on_being_served(make_loop: MakeLoop) -> None:
    loop = make_loop(24)
    loop.advance()
    steering_of(loop).pause(1)
    loop.label(6)
    loop.label_studio.state["predictions"] = []  # somebody deletes the queue
    loop.advance()
    loop.check_queue()
    assert loop.store.round_numbers() == [0]
    assert doing(loop) == "paused; `aftertone resume 1` goes on"
    steering_of(loop).resume(1)
    loop.advance()
    assert loop.store.round_numbers() == [0, 1]
    loop.check_queue()


def report_of(stage: str, what: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Do something while a worker reports that stage; returns the stages that were reported."""
    seen: list[str] = []
    go_on = Advance._go_on

    def watched(self: Advance, name: str, done: int, total: int) -> None:
        if name == stage and stage not in seen:
            what()
        seen.append(name)
        go_on(self, name, done, total)

    monkeypatch.setattr(Advance, "_go_on", watched)
    return seen


def stages_of(loop: MemoryLoop, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    with monkeypatch.context() as patch:
        seen = report_of("", lambda: None, patch)
        rounds(loop, 1)
    return list(dict.fromkeys(seen))


@pytest.mark.slow
@pytest.mark.parametrize("order", ["pause", "cancel"])
def test_every_stage_ends_soon_and_the_rounds_are_the_same_in_the_end(
    settings: Settings, nano: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, order: str
) -> None:
    undisturbed = connect(FakeLabelStudio(tasks=24), settings, nano, {})
    stages = stages_of(undisturbed, monkeypatch)
    assert {"fetch", "train"} <= {stage.split()[0].lower() for stage in stages}, stages
    expected = [record.published for record in undisturbed.store.rounds()]
    for number, stage in enumerate(stages):
        elsewhere = settings.model_copy(update={"model_dir": tmp_path / str(number)})
        loop = connect(FakeLabelStudio(tasks=24), elsewhere, nano, {})
        steering = steering_of(loop)
        with monkeypatch.context() as patch:
            seen = report_of(stage, lambda: getattr(steering, order)(1), patch)  # noqa: B023
            loop.advance()
            if loop.store.steering.paused is None:
                loop.label(6)
                loop.advance()
        assert seen[-1] == stage  # nothing was reported after it
        assert loop.problem == ""
        assert doing(loop).startswith("paused")
        if order == "cancel":
            assert not (loop.store.folder / "next").exists()
            assert not (loop.store.folder / "adapted.part").exists()
        steering.resume(1)
        loop.advance()
        if loop.store.round_numbers() == [0]:
            loop.label(6)
            loop.advance()
        assert [record.published for record in loop.store.rounds()] == expected
        loop.check_queue()


@pytest.mark.parametrize(("order", "made"), [("pause", [0, 1]), ("cancel", [0])])
def test_a_training_that_was_asked_for_outlives_a_pause_and_not_a_cancel(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch, order: str, made: list[int]
) -> None:
    loop = make_loop(24)
    loop.advance()
    loop.label(4)  # fewer than a round waits for
    steering, train = steering_of(loop), LearningSteps._train
    steering.train(1)

    def stopped(self: LearningSteps) -> None:
        getattr(steering, order)(1)
        train(self)

    with monkeypatch.context() as patch:
        patch.setattr(LearningSteps, "_train", stopped)
        loop.advance()
    assert loop.store.round_numbers() == [0]
    steering.resume(1)
    loop.advance()
    assert loop.store.round_numbers() == made


# -- train and rollback ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["igs", "margin"])
def test_a_strategy_of_either_kind_of_label_can_be_set(make_loop: MakeLoop, strategy: str) -> None:
    assert f"strategy={strategy}" in steering_of(make_loop(4)).set(1, {"strategy": strategy})


def test_a_training_that_finds_no_labels_is_told_until_it_begins(make_loop: MakeLoop) -> None:
    loop = make_loop(24)
    loop.advance()
    steering_of(loop).train(1)
    loop.advance()
    assert "a training that was asked for begins with the labels to come" in doing(loop)
    loop.label(3)
    loop.advance()
    assert loop.store.round_numbers() == [0, 1]
    assert "asked for" not in doing(loop)


def test_train_needs_no_new_label(make_loop: MakeLoop) -> None:
    loop = make_loop(24)
    rounds(loop, 1)
    loop.advance()
    assert loop.store.round_numbers() == [0, 1]
    steering_of(loop).train(1)
    loop.advance()
    assert loop.store.round_numbers() == [0, 1, 2]
    loop.advance()
    assert loop.store.round_numbers() == [0, 1, 2]
    loop.check_queue()


def test_a_round_that_was_rolled_back_to_is_served_and_exported_until_the_next_batch(make_loop: MakeLoop) -> None:
    loop = make_loop(48)
    rounds(loop, 3)
    labels = [task["annotations"] for task in loop.label_studio.state["tasks"]]
    said = steering_of(loop).rollback(1, 1)
    assert "Rounds 2 and 3 are kept and marked as rolled back" in said
    loop.advance()
    assert loop.store.current == 1
    assert loop.label_studio.state["project"]["model_version"] == loop.store.round(1).version
    assert {row["model_version"] for row in loop.label_studio.state["predictions"]} == {loop.store.round(1).version}
    assert loop.store.round_numbers() == [0, 1, 2, 3]
    assert [task["annotations"] for task in loop.label_studio.state["tasks"]] == labels
    with loop.store.round_model() as (number, _):
        assert number == 1
    loop.label(5)
    loop.advance()
    assert loop.store.round_numbers() == [0, 1, 2, 3]  # labels since round 3, not since round 1
    loop.label(1)
    loop.advance()
    assert (loop.last.number, loop.last.labels) == (4, 24)
    loop.check_queue()
    with loop.store.round_model() as (number, _):
        assert number == 4
    assert loop.store.standing_numbers() == [0, 1, 4]
    assert 1 in loop.store.with_model()  # of three that are kept, those that are rolled back go first


def test_a_rollback_can_be_taken_back_and_works_while_paused(make_loop: MakeLoop) -> None:
    loop = make_loop(48)
    rounds(loop, 2)
    steering = steering_of(loop)
    steering.pause(1)
    for number in (1, 2):
        steering.rollback(1, number)
        loop.advance()
        assert loop.store.current == number
        assert loop.label_studio.state["project"]["model_version"] == loop.store.round(number).version
    assert loop.store.standing_numbers() == [0, 1, 2]


def test_what_cannot_be_rolled_back_to_is_refused(make_loop: MakeLoop) -> None:
    loop = make_loop(48)
    rounds(loop, 2)
    for number, said in ((0, "has no model"), (2, "newest that counts already"), (9, "There is no round 9")):
        with pytest.raises(StoreError, match=said):
            steering_of(loop).rollback(1, number)
    assert loop.store.steering.rolled_back == ()


def test_a_round_that_comes_after_a_rollback_never_bears_the_number_of_one_that_was_removed(
    make_loop: MakeLoop,
) -> None:
    loop = make_loop(48)
    rounds(loop, 2)
    steering_of(loop).rollback(1, 1)
    shutil.rmtree(loop.store.folder / "rounds" / "002")
    steering_of(loop).train(1)
    loop.advance()
    assert loop.last.number == 3
    loop.check_queue()


# -- options ------------------------------------------------------------------------------------------------------


def test_options_that_are_set_win_over_extra_params_until_taken_back(make_loop: MakeLoop) -> None:
    loop = make_loop(24, strategy="entropy")
    steering = steering_of(loop)
    assert "batch_size=4, strategy=margin" in steering.set(1, {"strategy": "margin", "batch_size": "4"})
    rounds(loop, 1)
    assert (loop.last.strategy, loop.last.batch) == ("margin", 4)
    assert steering.set(1, {"strategy": None, "batch_size": None}).startswith("Set for project 1: no option any more.")
    loop.label(4)
    loop.advance()
    assert (loop.last.strategy, loop.last.batch) == ("entropy", 6)


def test_a_question_that_the_label_config_does_not_ask_is_refused_with_those_that_it_asks(make_loop: MakeLoop) -> None:
    loop = make_loop(4)
    steering = steering_of(loop)
    with pytest.raises(LabelConfigError, match=r'no question "nosuch".* it could be Choices "emotion" \('):
        steering.set(1, {"question": "nosuch"})
    assert loop.store.steering.options == {}
    steering.set(1, {"question": "emotion"})
    loop.store.remove(Connection)  # then the label config isn't known
    steering.set(1, {"question": "nosuch"})
    assert loop.store.steering.options == {"question": "nosuch"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"port": "1"}, "'port' can't be set for a project. Known: "),
        ({"batch_size": "many"}, "BATCH_SIZE='many'"),
        ({"batch_size": "4", "test_share": "0.9"}, "TEST_SHARE='0.9'"),
        ({}, "key=value"),
        ({"notify_url": "http://u:hush@10.0.0.1/hush"}, "nobody at 10.0.0.1 is notified. Add the host to NOTIFY_HOSTS"),
        ({"notify_url": "hush"}, "NOTIFY_URL: "),
    ],
)
def test_options_that_make_no_sense_are_refused_and_nothing_is_changed(
    make_loop: MakeLoop, options: dict[str, str], said: str
) -> None:
    loop = make_loop(4)
    with pytest.raises(SettingsError, match=said) as refused:
        steering_of(loop).set(1, options)
    assert "hush" not in str(refused.value)
    assert loop.store.steering.options == {}


def test_a_method_that_learns_from_other_corpora_is_set_with_its_source(make_loop: MakeLoop) -> None:
    steering = steering_of(make_loop(4))
    with pytest.raises(MethodError, match="Set `source`"):
        steering.set(1, {"method": "supervised-contrastive"})
    said = steering.set(1, {"method": "supervised-contrastive", "source": "a.csv,b.csv"})
    assert "method=supervised-contrastive, source=a.csv, b.csv" in said
    assert "method=supervised-contrastive" in steering.set(1, {"method": "supervised-contrastive"})


def test_a_strategy_that_does_not_exist_is_refused(make_loop: MakeLoop) -> None:
    loop = make_loop(4)
    with pytest.raises(Exception, match="no strategy 'oracle'"):
        steering_of(loop).set(1, {"strategy": "oracle"})


# -- forgetting ---------------------------------------------------------------------------------------------------


def test_what_is_forgotten_is_gone_once_it_is_disconnected(make_loop: MakeLoop) -> None:
    loop = make_loop(12)
    loop.advance()
    steering = steering_of(loop)
    loop.label_studio.state["models"] = [{"url": "http://backend:9090", "extra_params": None}]
    for yes in (False, True):  # what can't be done isn't offered
        with pytest.raises(StoreError, match="Disconnect it there first"):
            steering.forget(1, yes=yes, force=False)
    assert "Add --yes" in steering.forget(1, yes=False, force=True)
    with loop.store.only_writer(), pytest.raises(StoreError, match="aftertone pause 1"):
        steering.forget(1, yes=True, force=True)
    assert loop.store.round_numbers() == [0]
    loop.label_studio.state["models"] = []
    assert "Add --yes" in steering.forget(1, yes=False, force=False)
    assert "is removed" in steering.forget(1, yes=True, force=False)
    assert not loop.store.folder.exists()
    with pytest.raises(NotKeptError, match="Nothing is kept of project 1"):
        steering.forget(1, yes=True, force=False)


def test_a_label_studio_that_cannot_be_asked_forgets_nothing_unless_forced(make_loop: MakeLoop) -> None:
    class Away(LabelStudio):
        def __init__(self) -> None:
            """Nothing to connect to."""

        def models(self, project: int) -> list[Any]:
            raise LabelStudioError("It can't be reached.")

    loop = make_loop(4)
    steering = steering_of(loop, Away())
    assert re.search("Add --yes.*can't say whether", steering.forget(1, yes=False, force=False))
    with pytest.raises(StoreError, match="--force"):
        steering.forget(1, yes=True, force=False)
    assert "is removed" in steering.forget(1, yes=True, force=True)


# -- the commands ------------------------------------------------------------------------------------------------


def test_the_commands_need_no_worker_and_status_shows_what_they_did(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = make_loop(48, batch_size=6)
    rounds(loop, 2)
    monkeypatch.setenv("MODEL_DIR", str(loop.settings.model_dir))

    def run(*words: str) -> str:
        return CliRunner().invoke(app, words).output

    assert "is paused" in run("pause", "1")
    assert "is paused already" in run("pause", "1")
    assert "Round 2 is kept and marked as rolled back" in run("rollback", "1", "--round", "1")
    assert "batch_size=8" in run("set", "1", "batch_size=8", "prelabel=")
    assert "trains after `aftertone resume 1`" in run("train", "1")
    assert "Nothing is kept of project 2" in run("cancel", "2")
    shown = run("status")
    assert re.search(r"PAUSED \d+ s ago; `aftertone resume 1` goes on", shown)
    assert "options: batch_size=8 (aftertone set, where extra params say 6)" in shown
    assert [line.endswith("(rolled back)") for line in shown.splitlines() if line.startswith("  round")] == [
        False, False, True,
    ]  # fmt: skip
    (project,) = json.loads(run("status", "--json"))["projects"]
    assert project["options"] == {"batch_size": {"value": 8, "from": "aftertone set", "instead_of": 6}}
    assert project["paused"] > 0
    assert "goes on" in run("resume", "1")
    assert "isn't paused" in run("resume", "1")
    assert "of the form" in run("set", "1", "batch_size")


def test_orders_that_arrive_at_once_are_all_kept(settings: Settings) -> None:
    store = Store(settings.model_dir).project(1)
    store.connect(Connection(project=1, label_config="x"))

    def set_one(name: str) -> None:
        ProjectStore(store.folder).steer(lambda s: s.model_copy(update={"options": {**s.options, name: 1}}))

    threads = [threading.Thread(target=set_one, args=(f"o{number}",)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.steering.options) == 20
