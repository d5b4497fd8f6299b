"""What labels are about: whole clips, or the segments of them that annotators marked."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from aftertone.attribute_names import SPOKEN
from aftertone.labelstudio.tasks import Answer, Task
from aftertone_model.data.clips import MIN_SECONDS, Clip
from aftertone_model.labels import LabelSchema
from aftertone_model.votes.regions import join_regions, usable_regions
from aftertone_model.votes.vote import Vote


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one label is about: a whole clip of the pool, or a segment of it that somebody marked."""

    clip: Clip
    answers: tuple[Answer, ...]  # of each task that says something about it

    @cached_property
    def answer(self) -> Answer:
        """Of all these tasks together."""
        return self.answers[0] if len(self.answers) == 1 else _together(self.answers)

    @property
    def votes(self) -> Iterator[Vote]:
        """Each annotator's vote in each task."""
        for answer in self.answers:
            for who, chosen in answer.by.items():
                yield Vote(clip=self.clip.id, annotator=who, chosen=chosen, final=answer.final)


def segments_of(clip: Clip, tasks: Sequence[Task], schema: LabelSchema) -> tuple[Part, ...]:
    """The segments of a clip that annotators marked, in order of time.

    Args:
        tasks: that hold the clip.
        schema: kind of the answers.
    """
    marked = {(row, who): regions for row, task in enumerate(tasks) for who, regions in task.answer.regions.items()}
    names = {f"{row} {who}": (row, who) for row, who in marked}
    found = join_regions(((name, marked[key]) for name, key in names.items()), clip.seconds, MIN_SECONDS)
    parts: list[Part] = []
    told = {name: text for name, text in clip.attributes.items() if name != SPOKEN}  # which is of the whole clip
    clip = replace(clip, attributes=told)
    for segment in found:
        by: dict[int, dict[str, tuple[str, ...]]] = {}  # task -> annotator -> words
        for name, chosen in segment.votes.items():
            row, who = names[name]
            by.setdefault(row, {})[who] = chosen
        answers = [_answer(said, schema, final=tasks[row].answer.final) for row, said in by.items()]
        parts.append(Part(clip=clip.segment(segment.start, segment.end - segment.start), answers=tuple(answers)))
    return tuple(parts)


def count_short(tasks: Sequence[Task], seconds: float) -> int:
    """Regions that were marked in a clip and are too short to learn from.

    Args:
        tasks: that hold the clip.
        seconds: its duration.
    """
    marked = [regions for task in tasks for regions in task.answer.regions.values()]
    return sum(not usable_regions([region], seconds, MIN_SECONDS) for regions in marked for region in regions)


def _answer(by: dict[str, tuple[str, ...]], schema: LabelSchema, *, final: bool) -> Answer:
    votes: Counter[str] = Counter()
    for chosen in by.values():
        votes.update(schema.vote(chosen))
    voters = sum(any(map(schema.knows, chosen)) for chosen in by.values())
    return Answer(votes=dict(votes), voters=voters, by=by, final=final)


def _together(answers: Sequence[Answer]) -> Answer:
    votes: Counter[str] = Counter()
    for answer in answers:
        votes.update(answer.votes)
    skipped = not votes and all(answer.skipped for answer in answers)
    return Answer(votes=dict(votes), voters=sum(answer.voters for answer in answers), skipped=skipped)
