"""The names of the query strategies, for what checks one and never ranks: the registry itself brings torch."""

from aftertone_model.errors import StrategyError

NAMES = (
    "random", "entropy", "least-confidence", "margin", "bald", "batchbald", "powerbald", "badge", "alps", "kmeans",
    "entropy-clusters", "cluster-margin", "typiclust-margin", "coreset", "probcover", "direct", "anchoral",
)  # fmt: skip
EXCLUSIVE_ONLY = ("batchbald",)
"""Those that can't rank multiple choice."""


def check_strategy(name: str, *, exclusive: bool) -> None:
    """Check that a strategy exists and can rank a kind of label.

    Args:
        exclusive: whether the classes exclude each other.

    Raises:
        StrategyError: there is none of that name, or it can't; the message names strategies that can.
    """
    if name not in NAMES:
        raise StrategyError(f"There is no strategy {name!r}. Set one of: {', '.join(NAMES)}.")
    if name in EXCLUSIVE_ONLY and not exclusive:
        able = ", ".join(other for other in NAMES if other not in EXCLUSIVE_ONLY)
        raise StrategyError(
            f"The strategy {name!r} ranks single-choice labels only. For multiple choice set one of: {able}."
        )
