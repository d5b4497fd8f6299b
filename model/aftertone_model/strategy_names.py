"""The names of the query strategies, for what checks one and never ranks: the registry itself brings torch."""

from aftertone_model.errors import StrategyError

NAMES = (
    "random", "entropy", "least-confidence", "margin", "bald", "batchbald", "powerbald", "badge", "alps", "kmeans",
    "entropy-clusters", "cluster-margin", "typiclust-margin", "coreset", "probcover", "direct", "anchoral",
    "igs",
)  # fmt: skip
EXCLUSIVE_ONLY = ("batchbald",)
"""Those that can't rank multiple choice."""
OF_RATINGS = ("random", "alps", "kmeans", "coreset", "igs")
"""Those that can rank ratings."""
RATINGS_ONLY = ("igs",)
"""Those that can't rank choices."""


def check_strategy_name(name: str) -> None:
    """Check that a strategy exists, where it isn't known what it is to rank.

    Raises:
        StrategyError: there is none of that name.
    """
    if name not in NAMES:
        raise StrategyError(f"There is no strategy {name!r}. Set one of: {', '.join(NAMES)}.")


def check_strategy(name: str, *, exclusive: bool, predicts: str = "probabilities") -> None:
    """Check that a strategy exists and can rank a kind of label.

    Args:
        exclusive: whether the classes exclude each other.
        predicts: what a model says about a clip: `probabilities` of classes, or `ratings`.

    Raises:
        StrategyError: there is none of that name, or it can't; the message names strategies that can.
    """
    check_strategy_name(name)
    able = OF_RATINGS if predicts == "ratings" else tuple(other for other in NAMES if other not in RATINGS_ONLY)
    if name not in able:
        raise StrategyError(f"The strategy {name!r} can't rank by {predicts}. Set one of: {', '.join(able)}.")
    if predicts == "probabilities" and name in EXCLUSIVE_ONLY and not exclusive:
        others = ", ".join(other for other in able if other not in EXCLUSIVE_ONLY)
        raise StrategyError(
            f"The strategy {name!r} ranks single-choice labels only. For multiple choice set one of: {others}."
        )
