"""What a look at a project finds."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from aftertone.doctor.registry import examine
from aftertone.labelstudio.audio_hosts import NOT_ALLOWED
from aftertone.labelstudio.tasks import Answer, Snapshot
from aftertone.pipeline.dataset import join
from aftertone.pipeline.looking import look_at
from aftertone.settings import Settings
from aftertone.store.project import Store
from aftertone.store.records import Connection, Finding, Source
from aftertone.store.state import State
from tests.unit.aftertone.records import ADAPTED, make_snapshot

STATE = State(adaptation=ADAPTED)
NONE: Mapping[str, Source] = {}
CONNECTION = Connection(project=1, label_config="x")


class Finder:
    """Examines snapshots whose audio is decoded."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def findings(self, snapshot: Snapshot, state: State = STATE, broken: Mapping[str, Source] = NONE) -> list[Finding]:
        sources = {task.source: Source(clip=f"c{task.id}", seconds=1.0) for task in snapshot.tasks.values()}
        sources |= broken
        dataset, store = join(snapshot, sources, 0.0), Store(self.settings.model_dir).project(1)
        return examine(look_at(store, snapshot, dataset, state, self.settings, CONNECTION))

    def __call__(self, snapshot: Snapshot, state: State = STATE, broken: Mapping[str, Source] = NONE) -> list[str]:
        return [finding.sentence for finding in self.findings(snapshot, state, broken)]


@pytest.fixture
def find(settings: Settings) -> Finder:
    return Finder(settings)


def test_all_is_well(find: Finder) -> None:
    assert find(make_snapshot(4)) == []


def test_no_webhook_names_the_setting(find: Finder) -> None:
    (warning,) = find(make_snapshot(4, webhooks=()))
    assert "USE_DEFAULT_BANNED_SUBNETS=false" in warning


def test_overlap_labels_outside_the_config_and_broken_audio_are_told(find: Finder) -> None:
    snapshot = make_snapshot({1: Answer(votes={"bored": 1}), 2: Answer()}, overlap=2)
    broken, unknown, overlap = find(snapshot, broken={"/a/2": Source(error="empty")})
    assert "2 annotations per task" in overlap
    assert "'bored'" in unknown
    assert "1 tasks have audio" in broken


def test_a_pool_that_outgrew_its_adaptation_is_told_the_command(find: Finder) -> None:
    (warning,) = find(make_snapshot(7))
    assert "aftertone adapt 1" in warning
    assert find(make_snapshot(6)) == []


def test_a_backbone_that_was_left_unadapted_says_why(find: Finder) -> None:
    unadapted = State(adaptation=dataclasses.replace(ADAPTED, kept=False, reason="It collapsed."))
    (warning,) = find(make_snapshot(4), unadapted)
    assert "It collapsed." in warning


def test_damaged_files_come_first(find: Finder) -> None:
    found = find(make_snapshot(4, webhooks=()), State(adaptation=ADAPTED, damage=("x was damaged",)))
    assert found[0].startswith("x")


def test_hosts_that_are_not_allowed_are_told_once_each(find: Finder) -> None:
    refused = {f"/a/{i}": Source(error=NOT_ALLOWED.format(host="a.org" if i < 4 else "b.org")) for i in range(1, 6)}
    first, second = find(make_snapshot(8), broken=refused)
    assert first.startswith("3 tasks have their audio at a.org")
    assert second.startswith("2 tasks have their audio at b.org")


def speakers(*labels: str) -> Snapshot:
    """Ten labelled clips of a speaker per word, which gives the letters of their answers in turn."""
    names = {"n": "neutral", "h": "happy", "s": "sad"}
    answers = {
        speaker * 10 + i: Answer(votes={names[said[i % len(said)]]: 1}, voters=1)
        for speaker, said in enumerate(labels, 1)
        for i in range(10)
    }
    snapshot = make_snapshot(answers)
    tasks = {i: dataclasses.replace(task, speaker=str(i // 10)) for i, task in snapshot.tasks.items()}
    return dataclasses.replace(snapshot, tasks=tasks)


@pytest.mark.parametrize(
    ("labels", "harms"),
    [
        (("n", "h", "s"), True),  # a speaker per emotion
        (("nnnnnnnnnh", "h", "s"), True),
        (("nhs", "nhs", "nhs"), False),
        (("n", "n", "nnnnnnnnhs"), False),  # a pool that is mostly neutral, whoever speaks
        (("n", "h"), False),  # too few labels to tell
    ],
)
def test_speakers_of_one_emotion_each_are_told(find: Finder, labels: tuple[str, ...], harms: bool) -> None:
    adapted = State(adaptation=dataclasses.replace(ADAPTED, clips=100))
    found = find.findings(speakers(*labels), adapted)
    assert [finding.key for finding in found] == ["one-emotion-speakers"] * harms
    find.settings = find.settings.model_copy(update={"speaker_field": ""})
    assert find(speakers(*labels), adapted) == []


@pytest.mark.parametrize("broken", [{"overlap": 2}, {"trains_every": 1}, {"evaluates": True}])
def test_each_finding_says_why_it_matters_and_what_to_do(find: Finder, broken: dict[str, Any]) -> None:
    (finding,) = find.findings(make_snapshot(4, **broken))
    assert finding.what
    assert finding.why
    assert finding.cure


def test_a_changed_backbone_is_said(find: Finder) -> None:
    state = State(adaptation=dataclasses.replace(ADAPTED, backbone="tiny"))
    find.settings = find.settings.model_copy(update={"backbone": "aftertone-mini"})
    (finding,) = find.findings(make_snapshot(4), state)
    assert finding.key == "another-backbone"
    assert "BACKBONE is aftertone-mini now" in finding.what
    find.settings = find.settings.model_copy(update={"backbone": "tiny"})
    assert find.findings(make_snapshot(4), state) == []
