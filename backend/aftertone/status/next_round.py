"""What a project's next round takes: labels, clips, time, memory and disk, by what its rounds before took."""

from collections.abc import Iterator
from statistics import median

from pydantic import Field

from aftertone.doctor.disk import LEAST_FREE, needed, size
from aftertone.pipeline.annotators import usual_seconds
from aftertone.pipeline.figures import task_figures
from aftertone.status.document import Part
from aftertone.status.moments import duration
from aftertone.status.project import readable_rounds
from aftertone.store.leftovers import size_on_disk
from aftertone.store.project import ProjectStore
from aftertone.store.records import DiskUse
from aftertone.store.rounds import Round

BASIS = 3  # newest rounds whose pace counts


class NextRound(Part):
    """Figures that nobody can tell yet are null. Names end in their units; the others count clips, labels or tasks."""

    project: int
    number: int = Field(description="That the round will have.")
    wanted: int | None = Field(description="Labels that it waits for; null before there is a seed set.")
    more: int = Field(description="Labels of these that are still to come.")
    annotating_seconds: float | None = Field(description="Seconds that these take at the annotators' median pace.")
    trained_on: int = Field(description="Labelled clips that it learns from.")
    scored: int = Field(description="Clips that it scores.")
    training_seconds: float | None = Field(description="Seconds that the training may take.")
    ranking_seconds: float | None = Field(description="Seconds that scoring and ranking the pool may take.")
    unfetched: int = Field(description="Tasks whose audio is fetched before.")
    memory_bytes: int | None = Field(description="Most bytes of main memory that a round took so far.")
    disk_bytes: int = Field(description="Bytes that the round and what comes before it may take.")
    free_bytes: int = Field(description="Bytes that are free.")
    basis: tuple[int, ...] = Field(description="Rounds whose pace was taken.")
    damaged: tuple[str, ...] = Field(
        (), description="Rounds whose records can't be read, and what to do; a sentence each."
    )

    @property
    def fits(self) -> bool:
        """Whether there is room for it on the disk."""
        return self.disk_bytes <= self.free_bytes


def plan_next(project: int, store: ProjectStore, free: int) -> NextRound:
    """Without asking anybody: from the store alone.

    Training takes as long per label, and ranking per clip, as it did in the newest rounds; where there is none yet,
    ranking takes as long as finding the seed set did, since that too goes through the whole pool.

    Args:
        free: bytes that are free where the store lies.
    """
    figures, (rounds, damaged) = task_figures(store), readable_rounds(store)
    standing = [record for record in rounds if record.number not in store.steering.rolled_back]
    last = standing[-1] if standing else None
    answers = figures.labelled + figures.tested
    more = max(0, last.batch - max(0, answers - last.labels)) if last is not None else 0
    pace = usual_seconds(figures.annotators)
    # Of labels to come as many are test clips as of those so far.
    trained_on = figures.labelled + round(more * (figures.labelled / answers if answers else 1))
    trained = [record for record in standing if record.kind == "trained"][-BASIS:]
    return NextRound(
        project=project,
        number=max((record.number for record in rounds), default=-1) + 1,
        wanted=last.batch if last is not None else None,
        more=more,
        annotating_seconds=more * pace if pace else None,
        trained_on=trained_on,
        scored=figures.clips,
        training_seconds=_at_pace([(r.seconds.get("train"), len(r.labelled)) for r in trained], trained_on),
        ranking_seconds=_ranking(store, standing, trained, figures.clips),
        unfetched=figures.unfetched,
        memory_bytes=max((record.memory for record in standing), default=0) or None,
        disk_bytes=_disk(store, trained, figures.fetched, figures.unfetched),
        free_bytes=free,
        basis=tuple(record.number for record in trained),
        damaged=tuple(damaged),
    )


def describe_next(plan: NextRound) -> str:
    """For people."""
    return "\n  ".join([f"Project {plan.project}, round {plan.number}:", *_lines(plan)])


def _lines(plan: NextRound) -> Iterator[str]:
    yield from (f"DAMAGED: {sentence}" for sentence in plan.damaged)
    if plan.unfetched:
        yield f"audio    of {plan.unfetched} tasks is fetched before"
    seconds, made = plan.annotating_seconds, plan.wanted is not None
    work = f", {duration(seconds)} of work at the annotators' median pace" if seconds else ""
    if plan.wanted is None and plan.damaged:
        yield "labels   can't be told while no round can be read"
    elif plan.wanted is None:
        yield "labels   the seed set is chosen first, once the backbone is adapted"
    else:
        yield f"labels   {plan.more} more of {plan.wanted}{work}" if plan.more else "labels   all are there"
    yield f"train    on {plan.trained_on} labelled clips: {_time(plan.training_seconds, made=bool(plan.basis))}"
    yield f"rank     {plan.scored} clips: {_time(plan.ranking_seconds, made=made)}"
    memory = f"{size(plan.memory_bytes)}, as much as a round took so far" if plan.memory_bytes else ""
    yield f"memory   {memory or (NOT_MEASURED if made else UNKNOWN)}"
    short = "" if plan.fits else ", which is TOO LITTLE: make room, or `aftertone clean`"
    yield f"disk     up to {size(plan.disk_bytes)}; {size(plan.free_bytes)} are free{short}"
    if plan.basis and (plan.training_seconds is not None or plan.ranking_seconds is not None):
        rounds = f"round{'s' * (len(plan.basis) > 1)} {', '.join(map(str, plan.basis))}"
        yield f"(at the pace of {rounds}; starting up, some seconds for each step, comes on top)"


UNKNOWN = "can't be told before a round has been made"
NO_DURATION = "can't be told, as it isn't known how long it took before"
NOT_MEASURED = "can't be told, as no round so far was measured"


def _time(seconds: float | None, *, made: bool) -> str:
    """
    Args:
        made: whether it was done before.
    """
    if seconds is None:
        return NO_DURATION if made else UNKNOWN
    return f"about {duration(max(1.0, seconds))}"


def _at_pace(done: list[tuple[float | None, int]], count: int) -> float | None:
    """Seconds for so many, at the median pace of what was done: (seconds, number of them)."""
    paces = [seconds / number for seconds, number in done if seconds is not None and number]
    return count * median(paces) if paces else None


def _ranking(store: ProjectStore, standing: list[Round], trained: list[Round], count: int) -> float | None:
    done = [(record.seconds.get("rank"), _scored(store, record)) for record in trained]
    if (found := _at_pace(done, count)) is not None:
        return found
    seeds = [record for record in standing if record.kind == "seed"]
    return _at_pace([(record.seconds.get("seed"), _scored(store, record)) for record in seeds], count)


def _scored(store: ProjectStore, record: Round) -> int:
    """Rows of a round's table of scores."""
    try:
        with store.scores_file(record.number).open("rb") as file:
            return max(0, sum(1 for _ in file) - 1)
    except OSError:
        return 0


def _disk(store: ProjectStore, trained: list[Round], fetched: int, unfetched: int) -> int:
    before = max((size_on_disk(store.scores_file(record.number).parent) for record in trained), default=LEAST_FREE)
    return before + (needed(store.read(DiskUse), fetched, unfetched) if unfetched else 0)
