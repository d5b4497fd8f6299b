"""The figures of a test set as tables of a model card."""

from collections.abc import Sequence

from aftertone_model.evaluation.estimate import MIN_CLIPS, TOO_FEW, Estimate
from aftertone_model.evaluation.metrics import Metrics
from aftertone_model.evaluation.rating_metrics import RatingMetrics

CANT_TELL = "too few to say how good the model is."
FEW_OF_A_CLASS = 10  # test clips of a class below which its recall is told as a count alone


def too_few(metrics: Metrics | RatingMetrics) -> bool:
    """Whether so few clips were tested that a figure would mislead."""
    return metrics.clips < MIN_CLIPS


def of_one_class(metrics: Metrics) -> str:
    """Of a single choice, as Markdown."""
    counts = [(row[column], sum(row)) for column, row in enumerate(metrics.confusion)]
    if too_few(metrics):
        right = sum(count for count, _ in counts)
        return f"{right} of {metrics.clips} test clips are right: {CANT_TELL}\n\n{_counted(metrics.classes, counts)}"
    return _of_classes(metrics, counts, "mean recall of the classes", "share of clips that are right")


def of_several_classes(metrics: Metrics) -> str:
    """Of a multiple choice, as Markdown."""
    counts = [(found, missed + found) for _, _, missed, found in metrics.confusion]
    if too_few(metrics):
        right = sum(no + yes for no, _, _, yes in metrics.confusion)
        asked = metrics.clips * len(metrics.classes)
        return (
            f"{right} of {asked} answers on {metrics.clips} test clips, one per class and clip, are right: {CANT_TELL}"
            f"\n\n{_counted(metrics.classes, counts)}"
        )
    return _of_classes(
        metrics,
        counts,
        "mean recall of having and of not having a class",
        "share of clips that are right, mean over the classes",
    )


def of_ratings(metrics: RatingMetrics) -> str:
    """Of a regression, as Markdown; errors are in the units of the scales."""
    each = zip(metrics.dimensions, metrics.rated, metrics.each_ccc, metrics.mae, strict=True)
    if too_few(metrics):
        return f"{metrics.clips} test clips are rated: {CANT_TELL}"
    rows = "\n".join(
        f"| {name} | {rated} | {_plain(ccc, 3)} | {_plain(error, 2)} |" for name, rated, ccc, error in each
    )
    return f"""Concordance correlation coefficient (CCC; 1 is perfect, 0 is chance), mean over the dimensions:
{_plain(metrics.ccc, 3)}.

| dimension | test clips | CCC | mean absolute error |
| --- | --- | --- | --- |
{rows}"""


def _of_classes(metrics: Metrics, counts: Sequence[tuple[int, int]], ua: str, wa: str) -> str:
    return f"""| figure | value | interval |
| --- | --- | --- |
| UA ({ua}) | {_row(metrics.ua)} |
| WA ({wa}) | {_row(metrics.wa)} |
| macro-F1 | {_row(metrics.macro_f1)} |

Expected calibration error: {metrics.ece:.3f}.

{_counted(metrics.classes, counts)}"""


def _counted(classes: Sequence[str], counts: Sequence[tuple[int, int]]) -> str:
    """A line per class, from its test clips that are right and all of them; and which of them no clip has."""
    rows = "\n".join(
        f"| {name} | {_recall(right, clips)} |" for name, (right, clips) in zip(classes, counts, strict=True)
    )
    absent = [name for name, (_, clips) in zip(classes, counts, strict=True) if not clips]
    note = f"\n\nNo test clip is labelled {', '.join(absent)}: the figures leave that out." if absent else ""
    return f"| class | recall |\n| --- | --- |\n{rows}{note}"


def _recall(right: int, clips: int) -> str:
    if not clips:
        return "no clip"
    return f"{right} of {clips}" if clips < FEW_OF_A_CLASS else f"{right / clips:.1%} ({right} of {clips})"


def _row(figure: Estimate) -> str:
    said = TOO_FEW if figure.ends is None else f"{figure.ends[0]:.1%} to {figure.ends[1]:.1%}"
    return f"{figure.value:.1%} | {said}"


def _plain(figure: Estimate | None, digits: int) -> str:
    if figure is None:
        return "no clip"
    said = TOO_FEW if figure.ends is None else f"{figure.ends[0]:.{digits}f} to {figure.ends[1]:.{digits}f}"
    return f"{figure.value:.{digits}f} ({said})"
