import dataclasses

from aftertone.labelstudio.annotations import Answer
from aftertone.labelstudio.snapshot import Snapshot
from aftertone.pipeline.dataset import Dataset, Source, join
from aftertone.pipeline.warnings import notes
from aftertone_model.pretraining.record import Adaptation
from tests.unit.aftertone.records import make_snapshot

ADAPTED = Adaptation(
    kept=True,
    reason="The loss fell.",
    clips=4,
    seconds_of_audio=9.0,
    held_out=1,
    mask_ratio=0.15,
    steps=10,
    seconds=1.0,
    seed=0,
    settings={},
    curve=(),
)


def dataset(snapshot: Snapshot, **broken: Source) -> Dataset:
    sources = {task.source: Source(clip=f"c{task.id}", seconds=1.0) for task in snapshot.tasks.values()}
    return join(snapshot, sources | broken, 0.0)


def test_all_is_well() -> None:
    snapshot = make_snapshot(4)
    assert notes(snapshot, dataset(snapshot), ADAPTED) == []


def test_no_webhook_names_the_setting() -> None:
    snapshot = make_snapshot(4, webhook_urls=())
    (note,) = notes(snapshot, dataset(snapshot))
    assert "USE_DEFAULT_BANNED_SUBNETS=false" in note


def test_overlap_strange_labels_and_broken_audio_are_told() -> None:
    snapshot = make_snapshot({1: Answer(votes={"bored": 1}), 2: Answer()}, overlap=2)
    overlap, strange, broken = notes(snapshot, dataset(snapshot, **{"/a/2": Source(error="empty")}))
    assert "2 annotations per task" in overlap
    assert "'bored'" in strange
    assert "1 tasks have audio" in broken


def test_a_pool_that_outgrew_its_adaptation_is_told_the_command() -> None:
    snapshot = make_snapshot(7)
    (note,) = notes(snapshot, dataset(snapshot), ADAPTED)
    assert "aftertone adapt 1" in note
    assert notes(make_snapshot(6), dataset(make_snapshot(6)), ADAPTED) == []


def test_a_backbone_that_was_left_as_it_came_says_why() -> None:
    snapshot = make_snapshot(4)
    (note,) = notes(snapshot, dataset(snapshot), dataclasses.replace(ADAPTED, kept=False, reason="It collapsed."))
    assert "It collapsed." in note
