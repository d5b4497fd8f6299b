"""The annotators' queue: its sizes and its order."""

from dataclasses import replace

import numpy as np
import pytest

from aftertone.labelstudio.tasks import Answer, Task
from aftertone.pipeline import queue
from aftertone.pipeline.dataset import Dataset, Entry, join
from aftertone.settings import Settings
from aftertone.store.records import Source
from aftertone.store.round_scores import Score
from aftertone_model.acquisition.ranking import Ranking
from aftertone_model.data.clips import Clip
from aftertone_model.labels import SingleChoice
from tests.unit.aftertone.records import make_snapshot


def pool_of(clips: int, classes: int = 4) -> Dataset:
    entries = {str(i): Entry(clip=Clip(id=str(i), seconds=1.0), tasks=(i,), answers=(Answer(),)) for i in range(clips)}
    return Dataset(schema=SingleChoice(classes=tuple("abcdefgh"[:classes])), entries=entries, failed={}, missing=())


def ranked(*order: str) -> Ranking:
    scores, clusters = np.linspace(1, 0, len(order), dtype=np.float64), np.zeros(len(order), np.intp)
    return Ranking(order=order, k=1, strategy="s", scores=scores, clusters=clusters, predictions=None)


@pytest.mark.parametrize(("pool", "seeds", "batch"), [(100, 20, 20), (2_000, 20, 100), (10_000, 100, 500)])
def test_sizes_follow_the_pool(settings: Settings, pool: int, seeds: int, batch: int) -> None:
    assert queue.seed_size(settings, pool_of(pool)) == seeds
    assert queue.batch_size(settings, pool_of(pool)) == batch


def test_sizes_that_are_set_are_taken(settings: Settings) -> None:
    small = settings.model_copy(update={"seed_size": 2, "batch_size": 3})
    assert queue.seed_size(small, pool_of(10_000)) == 2
    assert queue.batch_size(small, pool_of(10_000)) == 3


def test_picks_leave_room_for_test_clips_but_are_never_none(settings: Settings) -> None:
    assert queue.picks(settings, 20) == 18
    assert queue.picks(settings.model_copy(update={"test_share": 0.5}), 1) == 1


def test_test_clips_are_mixed_in_and_skipped_clips_come_last(settings: Settings) -> None:
    answers = {i: Answer(skipped=i == 5) for i in range(1, 7)}
    snapshot = make_snapshot(answers)
    dataset = join(snapshot, {t.source: Source(clip=f"c{t.id}", seconds=1.0) for t in snapshot.tasks.values()}, 0.0)
    half = settings.model_copy(update={"test_share": 0.5})
    order = queue.build(half, dataset, frozenset({"c2", "c3", "c5"}), ranked("c6", "c1", "c4"), 2)
    assert [task for task in order if task not in (2, 3)] == [6, 1, 4, 5]
    assert all({2, 3} & {*order[start : start + 2]} for start in (0, 2))
    assert queue.length(settings.model_copy(update={"queue_factor": 3}), 20) == 60


def test_an_extension_goes_on_with_the_rounds_ranking(settings: Settings) -> None:
    answers = {i: Answer(skipped=i == 8) for i in range(1, 10)}
    snapshot = make_snapshot(answers)
    tasks = {i: replace(task, annotations=int(i == 1)) for i, task in snapshot.tasks.items()}
    snapshot = replace(snapshot, tasks=tasks)
    dataset = join(snapshot, {t.source: Source(clip=f"c{t.id}", seconds=1.0) for t in snapshot.tasks.values()}, 0.0)

    def score(task: int, rank: int | None, acquisition: float | None) -> Score:
        return Score(task=task, clip=f"c{task}", rank=rank, acquisition=acquisition, cluster=None, predictions=())

    ranked = {task: score(task, rank, None) for rank, task in enumerate((1, 2, 6, 3), 1)}
    earlier = {4: score(4, None, 0.1), 7: score(7, None, 0.9)}  # of a version that ranked what it published alone
    scores = {**ranked, **earlier}
    short, long = (settings.model_copy(update={"queue_factor": factor}) for factor in (1, 9))
    assert queue.extended(short, dataset, snapshot, scores, (1, 2, 77), 1) == (2, 6)  # 1 is answered, 77 deleted
    whole = queue.extended(long, dataset, snapshot, scores, (1, 2), 1)
    assert whole == (2, 6, 3, 7, 4, *whole[5:7], 8)
    assert set(whole[5:7]) == {5, 9}  # imported later: nobody ranked them
    twice = replace(snapshot, overlap=2)
    assert queue.extended(short, dataset, twice, scores, (1, 2), 1) == (1, 2, 6)  # 1 wants a second answer


def test_a_batch_has_few_clips_of_one_speaker_or_recording_where_that_is_capped(settings: Settings) -> None:
    tasks = {
        n: Task(id=n, source=f"/a/{n}", speaker="s" if n <= 6 else f"s{n}", recording="r" if n in (7, 8) else None)
        for n in range(1, 13)
    }
    dataset = join(make_snapshot(0, tasks=tasks), {f"/a/{n}": Source(clip=f"c{n}", seconds=1.0) for n in tasks}, 0.0)
    order = ranked(*(f"c{n}" for n in tasks))
    off = settings.model_copy(update={"test_share": 0.0})
    assert queue.build(off, dataset, frozenset(), order, 4)[:4] == (1, 2, 3, 4)
    capped = off.model_copy(update={"most_per_speaker": 2, "most_per_recording": 1})
    assert queue.build(capped, dataset, frozenset(), order, 4)[:8] == (1, 2, 7, 9, 3, 4, 8, 10)


def test_clips_to_look_at_again_are_mixed_in_where_that_is_wanted(settings: Settings) -> None:
    dataset = pool_of(40)
    order, off = ranked(*(str(n) for n in range(30))), settings.model_copy(update={"test_share": 0.0})
    again = [str(n) for n in range(30, 40)]
    assert not {30, 31} & set(queue.build(off, dataset, frozenset(), order, 5, again))
    mixed = queue.build(off.model_copy(update={"relabel_share": 0.2}), dataset, frozenset(), order, 5, again)
    assert [sum(task >= 30 for task in mixed[start : start + 5]) for start in range(0, 20, 5)] == [1, 1, 1, 1]
    assert {task for task in mixed if task >= 30} == {30, 31, 32, 33}  # the most urgent


def test_the_table_has_every_task_in_the_queues_order() -> None:
    tasks = {i: Task(id=i, source="/a/1" if i == 3 else f"/a/{i}") for i in (1, 2, 3)}
    snapshot = make_snapshot(0, tasks=tasks)
    dataset = join(snapshot, {f"/a/{i}": Source(clip=f"c{i}", seconds=1.0) for i in (1, 2)}, 0.0)
    rows = queue.score_table(dataset, ranked("c2", "c1"), (2, 1), {"c1": np.array([0.2, 0.8])})
    shown = [(row.task, row.rank, row.predictions) for row in rows]
    assert shown == [(2, 1, ()), (1, 2, (0.2, 0.8)), (3, None, (0.2, 0.8))]
