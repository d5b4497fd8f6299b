"""The figures of a test set as tables of a model card."""

from aftertone_model.evaluation.estimate import TOO_FEW, Estimate
from aftertone_model.evaluation.metrics import Metrics
from aftertone_model.evaluation.rating_metrics import RatingMetrics


def of_one_class(metrics: Metrics) -> str:
    """Of a single choice, as Markdown."""
    return _of_classes(metrics, "mean recall of the classes", "share of clips that are right")


def of_several_classes(metrics: Metrics) -> str:
    """Of a multiple choice, as Markdown."""
    return _of_classes(
        metrics,
        "mean recall of having and of not having a class",
        "share of clips that are right, mean over the classes",
    )


def of_ratings(metrics: RatingMetrics) -> str:
    """Of a regression, as Markdown; errors are in the units of the scales."""
    each = zip(metrics.dimensions, metrics.rated, metrics.each_ccc, metrics.mae, strict=True)
    rows = "\n".join(
        f"| {name} | {rated} | {_plain(ccc, 3)} | {_plain(error, 2)} |" for name, rated, ccc, error in each
    )
    return f"""Concordance correlation coefficient (CCC; 1 is perfect, 0 is chance), mean over the dimensions:
{_plain(metrics.ccc, 3)}.

| dimension | test clips | CCC | mean absolute error |
| --- | --- | --- | --- |
{rows}"""


def _of_classes(metrics: Metrics, ua: str, wa: str) -> str:
    recalls = "\n".join(
        f"| {name} | {'no clip' if recall is None else f'{recall:.1%}'} |"
        for name, recall in zip(metrics.classes, metrics.recall, strict=True)
    )
    return f"""| figure | value | interval |
| --- | --- | --- |
| UA ({ua}) | {_row(metrics.ua)} |
| WA ({wa}) | {_row(metrics.wa)} |
| macro-F1 | {_row(metrics.macro_f1)} |

Expected calibration error: {metrics.ece:.3f}.

| class | recall |
| --- | --- |
{recalls}"""


def _row(figure: Estimate) -> str:
    said = TOO_FEW if figure.ends is None else f"{figure.ends[0]:.1%} to {figure.ends[1]:.1%}"
    return f"{figure.value:.1%} | {said}"


def _plain(figure: Estimate | None, digits: int) -> str:
    if figure is None:
        return "no clip"
    said = TOO_FEW if figure.ends is None else f"{figure.ends[0]:.{digits}f} to {figure.ends[1]:.{digits}f}"
    return f"{figure.value:.{digits}f} ({said})"
