import dataclasses

from aftertone.labelstudio.tasks import Answer, Snapshot
from aftertone.pipeline.dataset import Dataset, join
from aftertone.pipeline.warnings import find_warnings
from aftertone.store.records import Source
from aftertone.store.state import State
from tests.unit.aftertone.records import ADAPTED, make_snapshot

STATE = State(adaptation=ADAPTED)


def dataset(snapshot: Snapshot, **broken: Source) -> Dataset:
    sources = {task.source: Source(clip=f"c{task.id}", seconds=1.0) for task in snapshot.tasks.values()}
    return join(snapshot, sources | broken, 0.0)


def test_all_is_well() -> None:
    snapshot = make_snapshot(4)
    assert find_warnings(snapshot, dataset(snapshot), STATE) == []


def test_no_webhook_names_the_setting() -> None:
    snapshot = make_snapshot(4, webhooks=())
    (warning,) = find_warnings(snapshot, dataset(snapshot), STATE)
    assert "USE_DEFAULT_BANNED_SUBNETS=false" in warning


def test_overlap_labels_outside_the_config_and_broken_audio_are_told() -> None:
    snapshot = make_snapshot({1: Answer(votes={"bored": 1}), 2: Answer()}, overlap=2)
    overlap, unknown, broken = find_warnings(snapshot, dataset(snapshot, **{"/a/2": Source(error="empty")}), STATE)
    assert "2 annotations per task" in overlap
    assert "'bored'" in unknown
    assert "1 tasks have audio" in broken


def test_a_pool_that_outgrew_its_adaptation_is_told_the_command() -> None:
    snapshot = make_snapshot(7)
    (warning,) = find_warnings(snapshot, dataset(snapshot), STATE)
    assert "aftertone adapt 1" in warning
    assert find_warnings(make_snapshot(6), dataset(make_snapshot(6)), STATE) == []


def test_a_backbone_that_was_left_unadapted_says_why() -> None:
    snapshot = make_snapshot(4)
    (warning,) = find_warnings(
        snapshot, dataset(snapshot), State(adaptation=dataclasses.replace(ADAPTED, kept=False, reason="It collapsed."))
    )
    assert "It collapsed." in warning


def test_a_changed_backbone_is_said() -> None:
    snapshot = make_snapshot(4)
    state = State(adaptation=dataclasses.replace(ADAPTED, backbone="tiny"))
    (warning,) = find_warnings(snapshot, dataset(snapshot), state, backbone="aftertone-mini")
    assert "BACKBONE is aftertone-mini now" in warning
    assert find_warnings(snapshot, dataset(snapshot), state, backbone="tiny") == []


def test_damaged_files_come_first() -> None:
    snapshot = make_snapshot(4, webhooks=())
    assert find_warnings(snapshot, dataset(snapshot), State(adaptation=ADAPTED, damage=("x was damaged",)))[
        0
    ].startswith("x")
