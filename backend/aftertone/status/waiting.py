"""Which clips annotators are asked for next, and why."""

from collections.abc import Collection, Sequence

from aftertone.pipeline.figures import TaskFigures
from aftertone.status.document import NextClip
from aftertone.store.project import ProjectStore
from aftertone.store.round_scores import DIGITS
from aftertone.store.rounds import Extension, Round
from aftertone.store.score_table import ScoreTable

SHOWN = 20  # clips


def next_clips(
    store: ProjectStore,
    record: Round,
    extension: Extension | None,
    table: ScoreTable | None,
    figures: TaskFigures,
    asked: Collection[str] = (),
) -> tuple[NextClip, ...]:
    """The head of the queue that annotators are served, without what they have answered.

    Args:
        record: the round that is served.
        extension: of its queue; perhaps of an earlier round's.
        table: the round's scores; None where they are lost.
        asked: clips that people asked for by hand.
    """
    queue = extension if extension is not None and extension.round == record.version else record
    again = {doubt.task for doubt in record.relabel}
    found: list[NextClip] = []
    for task in queue.published:
        if len(found) == SHOWN:
            break
        row = table.row.get(task) if table is not None else None
        if table is None or row is None or (task in figures.done and task not in again):
            continue
        clip = table.clips[row]
        predictions = table.predictions[row].tolist()
        why = _why_not_ranked(task, clip, again, figures, asked) or _why(record, predictions, table, row)
        found.append(
            NextClip(
                task=task,
                clip=clip,
                seconds=store.seconds(clip),
                prediction=", ".join(record.label_schema.answer(predictions)) if predictions else "",
                confidence=round(record.label_schema.confidence(predictions), DIGITS) if predictions else None,
                why=why,
            )
        )
    return tuple(found)


def _why_not_ranked(task: int, clip: str, again: Collection[int], figures: TaskFigures, asked: Collection[str]) -> str:
    """Why a clip is in the queue that no query strategy put there; '' for the others."""
    if task in again:
        return "its label is doubted: another vote would tell"
    if clip in asked:
        return "somebody asked for it"
    if clip in figures.test:
        return "drawn by chance for the test set"
    return "skipped before" if task in figures.passed else ""


def _why(record: Round, predictions: Sequence[float], table: ScoreTable, row: int) -> str:
    """What the round's strategy saw in a clip, as far as its scores tell."""
    if not predictions:
        return (
            f"stands for group {int(table.clusters[row]) + 1} of the pool" if table.clusters[row] else "drawn by chance"
        )
    if record.label_schema.predicts != "probabilities":
        return f"chosen by {record.strategy}"
    if not record.label_schema.exclusive:
        name, share = min(zip(record.classes, predictions, strict=True), key=lambda pair: abs(pair[1] - 0.5))
        return f"unsure of {name} ({share:.0%}); chosen by {record.strategy}"
    first, second = sorted(zip(predictions, record.classes, strict=True), reverse=True)[:2]
    return f"{first[1]} {first[0]:.0%} or {second[1]} {second[0]:.0%}; chosen by {record.strategy}"
