"""What the next round costs and may bring, in a sentence."""

from aftertone.pipeline.annotators import Annotators, usual_seconds
from aftertone.store.rounds import Round


def forecast(record: Round, answers: int, annotators: Annotators) -> str:
    """For people.

    Args:
        record: the newest round that counts.
        answers: clips that are labelled by now.
    """
    wanted = max(0, record.batch - max(0, answers - record.labels))
    if not wanted:
        return "There are enough new labels for the next round."
    pace = usual_seconds(annotators)
    work = f", {_duration(wanted * pace)} of work at the annotators' median pace" if pace else ""
    said = f"The next round needs about {wanted} more label{'' if wanted == 1 else 's'}{work}."
    if record.kind == "seed":
        return said
    if record.gain is None:
        return f"{said} What they bring can't be told yet."
    value, low, high = (100 * figure * wanted / 100 for figure in record.gain)
    figure = "points of UA" if record.label_schema.predicts == "probabilities" else "hundredths of CCC"
    if low <= 0 <= high and high - low > 10:
        return f"{said} What they bring can't be told yet: between {low:+.0f} and {high:+.0f} {figure}."
    return f"{said} As the last rounds went they bring {value:+.1f} {figure} [{low:+.1f} to {high:+.1f}]."


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
