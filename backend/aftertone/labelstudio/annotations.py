"""From annotations to votes: what people said about a task, as a person would count it."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from aftertone.labelstudio.label_config import Question
from aftertone.labelstudio.tasks import Answer, Work
from aftertone.labelstudio.untouched import touched
from aftertone_model.votes.regions import Region

MOST_SECONDS = 10**9  # a region may reach; it is cut off where the recording ends
WORDS = ("choices", "labels", "taxonomy")  # values that are lists


def well_formed(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """An annotation without what no labelling page sends: anybody may write others by the API."""
    result = annotation.get("result")
    items = [item for item in result if isinstance(item, Mapping)] if isinstance(result, list) else []
    return {**annotation, "result": [{**item, "value": _value(item.get("value"))} for item in items]}


def _value(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    kept = {name: said for name, said in value.items() if name not in WORDS or isinstance(said, list)}
    if not isinstance(kept.get("text", ""), str | list):
        del kept["text"]
    for bound in ("start", "end"):
        if isinstance(number := kept.get(bound), int) and abs(number) > MOST_SECONDS:
            kept[bound] = MOST_SECONDS if number > 0 else -MOST_SECONDS
    return kept


def count_votes(
    annotations: Iterable[Mapping[str, Any]],
    question: Question,
    *,
    made: Collection[int] = (),
    count_untouched: bool = False,
) -> Answer:
    """Count the votes on one task.

    Cancelled (skipped) annotations are no votes. Each annotator has one vote: their latest annotation, so that an edit
    or a second try replaces the first. Where someone starred annotations as ground truth, only those count. Predictions
    that were submitted as they were shown are no votes.

    Args:
        annotations: a task's annotations as Label Studio exports them.
        question: answers to others are left aside.
        made: ids of annotations that were made of predictions; no votes either.
        count_untouched: whether both are votes all the same.
    """
    annotations = list(annotations)
    submitted = [a for a in annotations if not a.get("was_cancelled")]
    by_people = [touched(a, made) for a in submitted]
    left = [
        question.chosen(whole) != () == question.chosen(rest) or (whole["id"] in made and not whole.get("ground_truth"))
        for whole, rest in zip(submitted, by_people, strict=True)
    ]
    if not count_untouched:
        submitted = [rest for rest, untouched in zip(by_people, left, strict=True) if not untouched]
    starred = [a for a in submitted if a.get("ground_truth")]
    latest: dict[Any, Mapping[str, Any]] = {}
    for annotation in sorted(starred or submitted, key=lambda a: (a.get("updated_at") or "", a.get("id") or 0)):
        latest[_annotator(annotation)] = annotation
    by = {str(who): chosen for who, annotation in latest.items() if (chosen := question.chosen(annotation))}
    first = sorted(latest.items(), key=lambda row: row[1].get("id") or 0)
    regions = {str(who): marked for who, annotation in first if (marked := question.marked(annotation))}
    votes: Counter[str] = Counter()
    for chosen in by.values() if question.regions is None else _each_region(regions):
        votes.update(question.schema.vote(chosen))
    voters = sum(any(map(question.schema.knows, chosen)) for chosen in by.values())
    return Answer(
        votes=dict(votes),
        voters=voters,
        by=by,
        regions=regions,
        final=bool(starred and by),
        skipped=bool(annotations) and not by,
        untouched=sum(left),
    )


def list_work(
    annotations: Iterable[Mapping[str, Any]],
    question: Question,
    *,
    made: Collection[int] = (),
    count_untouched: bool = False,
) -> tuple[Work, ...]:
    """What people did about one task, in order of submission; what nobody did is left out.

    Args:
        annotations: as of `count_votes`, and so are the others.
    """
    found = [
        _work(annotation, annotation if count_untouched else touched(annotation, made), question)
        for annotation in annotations
        if annotation["id"] not in made
    ]
    return tuple(sorted(found, key=lambda work: work.at))


def _work(annotation: Mapping[str, Any], said: Mapping[str, Any], question: Question) -> Work:
    """What an annotation tells of its annotator.

    Args:
        said: the part of it that counts as an answer.
    """
    skipped = bool(annotation.get("was_cancelled"))
    return Work(
        annotator=str(_annotator(annotation)),
        at=str(annotation.get("created_at") or annotation.get("updated_at") or ""),
        changed=str(annotation.get("updated_at") or annotation.get("created_at") or ""),
        seconds=annotation.get("lead_time"),
        chosen=() if skipped else question.chosen(said),
        regions=() if skipped else question.marked(said),
        skipped=skipped,
        starred=bool(annotation.get("ground_truth")),
    )


def _each_region(regions: Mapping[str, Iterable[Region]]) -> Iterator[tuple[str, ...]]:
    return (region.chosen for marked in regions.values() for region in marked)


def _annotator(annotation: Mapping[str, Any]) -> Any:
    who = annotation.get("completed_by")
    return who.get("id") if isinstance(who, Mapping) else who
