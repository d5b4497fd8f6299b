"""The stop advice of a project: what its rounds' records say to `evaluation.stopping`."""

from collections.abc import Mapping, Sequence

import numpy as np

from aftertone.store.rounds import Round
from aftertone_model.data.clips import file_of
from aftertone_model.evaluation.held_out import Milestone
from aftertone_model.evaluation.stopping import Advice, advise


def stop_advice(rounds: Sequence[Round], speakers: Mapping[str, str | None], seed: int) -> Advice:
    """Whether more labels still pay.

    Every round is judged by the newest round's test labels, also on clips that had none when it was made.

    Args:
        rounds: oldest first, the newest among them; those about another question or other classes don't count.
        speakers: clip -> who speaks, where known.
    """
    newest = rounds[-1]
    alike = [record for record in rounds if record.training and record.learned(newest.question, newest.label_schema)]
    labels = {clip: np.array(label) for clip, label in newest.tested.items()}
    tested = newest.label_schema.held_out(labels, speakers)
    return advise([_milestone(record) for record in alike], newest.classes, tested, seed)


def _milestone(record: Round) -> Milestone:
    learned = {file_of(clip) for clip in record.labelled}
    return Milestone(
        labels=len(record.labelled),
        per_class=record.training.per_class if record.training else (),
        predictions={clip: decision for clip, decision in record.stops.items() if clip not in learned},
        answers=record.test_answers,
    )
