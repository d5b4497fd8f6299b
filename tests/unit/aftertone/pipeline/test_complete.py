"""Which clips are learned although the project asks for further votes, and which wait."""

from datetime import UTC, datetime, timedelta

import pytest

from aftertone.labelstudio.tasks import Answer, Task, Work
from aftertone.pipeline.complete import awaited_clips
from aftertone.pipeline.dataset import join
from aftertone.settings import Settings
from aftertone.store.records import Source
from tests.unit.aftertone.records import make_snapshot

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(hours=1)


def task(number: int, *votes: tuple[str, float], final: bool = False, audio: int | None = None) -> Task:
    """A task with a vote for "happy" of each annotator, so many minutes after the start."""
    moments = [(who, (START + timedelta(minutes=minutes)).isoformat()) for who, minutes in votes]
    answer = Answer(
        votes={"happy": len(votes)} if votes else {},
        voters=len(votes),
        by={w: ("happy",) for w, _ in votes},
        final=final,
    )
    work = tuple(Work(annotator=who, at=at, changed=at, chosen=("happy",)) for who, at in moments)
    return Task(id=number, source=f"/a/{audio or number}", answer=answer, work=work)


def awaited(settings: Settings, *tasks: Task, overlap: int = 2, now: datetime = NOW, **options: object) -> set[str]:
    snapshot = make_snapshot(0, tasks={one.id: one for one in tasks}, overlap=overlap)
    sources = {one.source: Source(clip=f"c{one.source[3:]}", seconds=1.0) for one in tasks}
    entries = join(snapshot, sources, now.timestamp()).entries
    return set(awaited_clips(entries, settings.model_copy(update=options), overlap, now.timestamp()))


def test_a_clip_waits_for_as_many_votes_as_the_project_asks_for(settings: Settings) -> None:
    tasks = task(1, ("x", 0)), task(2, ("x", 1), ("y", 2)), task(3)
    assert awaited(settings, *tasks) == {"c1"}
    assert awaited(settings, *tasks, overlap=1) == set()
    assert awaited(settings, *tasks, overlap=3) == {"c1", "c2"}


def test_the_setting_wins_over_the_project(settings: Settings) -> None:
    tasks = task(1, ("x", 0)), task(2, ("x", 1), ("y", 2))
    assert awaited(settings, *tasks, votes_needed=1) == set()
    assert awaited(settings, *tasks, votes_needed=3) == {"c1", "c2"}


def test_a_star_ends_the_waiting(settings: Settings) -> None:
    assert awaited(settings, task(1, ("x", 0), final=True)) == set()


def test_votes_on_the_same_audio_in_two_tasks_add_up(settings: Settings) -> None:
    assert awaited(settings, task(1, ("x", 0)), task(2, ("y", 1), audio=1)) == set()


@pytest.mark.parametrize(("later", "waits"), [(2, True), (3, False)])
def test_an_annotator_who_has_moved_on_is_not_waited_for(settings: Settings, later: int, waits: bool) -> None:
    others = [task(10 + n, ("x", 5 + n), ("y", 6 + n)) for n in range(later)]
    found = awaited(settings, task(1, ("x", 0)), *others, moved_on_votes=3)
    assert found == ({"c1"} if waits else set())


def test_all_of_its_annotators_must_have_moved_on(settings: Settings) -> None:
    others = [task(10 + n, ("x", 5 + n), ("z", 5 + n), ("y", -9)) for n in range(3)]
    one, both = task(1, ("x", 0)), task(2, ("x", 0), ("y", 1))
    assert awaited(settings, one, both, *others, overlap=3, moved_on_votes=3) == {"c2"}


def test_a_clip_that_nothing_has_happened_to_for_hours_is_not_waited_for(settings: Settings) -> None:
    clip = task(1, ("x", 0))
    assert awaited(settings, clip, moved_on_hours=2, now=START + timedelta(hours=1.9)) == {"c1"}
    assert awaited(settings, clip, moved_on_hours=2, now=START + timedelta(hours=2.1)) == set()
