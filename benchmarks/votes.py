"""How good labels made of several votes are, on simulated votes: the table in docs/training.md.

    python -m benchmarks.votes

Prints, for each kind of crowd and each method, UA of the label (mean over classes of how often its top is the true
class; ties count in parts) and the mean negative log-probability of the true class in nats, over 12 draws.
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from aftertone_model.labels import SingleChoice
from aftertone_model.votes.soft_labels import soft_labels
from aftertone_model.votes.vote import Vote

EVEN, SKEWED = (1 / 6,) * 6, (0.7, 0.1, 0.08, 0.06, 0.06)
DIFFERING = (0.1, 0.3, 0.5)
LEAST = 1e-3  # of a probability before its logarithm is taken
CROWDS: dict[str, tuple[Sequence[float], Sequence[float], int, bool]] = {  # errors, classes, votes (0: 1 to 3), fixed
    "30 % each, three votes": ((0.3,) * 3, EVEN, 3, False),
    "10, 30, 50 %, three votes": (DIFFERING, EVEN, 3, False),
    "10, 30, 50 %, one to three votes": (DIFFERING, EVEN, 0, False),
    "the same errors, always with the same wrong classes": (DIFFERING, EVEN, 3, True),
    "10, 30, 50 %, three votes, 70 % of one class": (DIFFERING, SKEWED, 3, False),
    "10, 30, 50 %, one to three votes, 70 % of one class": (DIFFERING, SKEWED, 0, False),
}


def draw(
    errors: Sequence[float], prior: Sequence[float], each: int, fixed: bool, clips: int, seed: int
) -> tuple[NDArray[np.int64], list[Vote]]:
    """True classes (N,), and votes on them."""
    rng = np.random.default_rng(seed)
    classes = len(prior)
    truth = rng.choice(classes, clips, p=prior)
    confusions = []
    for error in errors:
        wrong = rng.dirichlet(np.full(classes - 1, 0.5), classes) if fixed else np.full((classes, classes - 1), 1.0)
        matrix = np.diag(np.full(classes, 1 - error))
        for c in range(classes):
            matrix[c, np.arange(classes) != c] = error * wrong[c] / wrong[c].sum()
        confusions.append(matrix)
    votes = []
    for clip, true in enumerate(truth):
        for who in rng.permutation(len(errors))[: each or rng.integers(1, 4)]:
            chosen = int(rng.choice(classes, p=confusions[who][true]))
            votes.append(Vote(clip=str(clip), annotator=str(who), chosen=(str(chosen),)))
    return truth, votes


def dawid_skene(votes: Sequence[Vote], schema: SingleChoice) -> dict[str, NDArray[np.float64]]:
    """crowd-kit's, with a confusion matrix per annotator and the classes' frequencies as prior."""
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    table = pd.DataFrame(
        [(v.clip, v.annotator, v.chosen[0]) for v in votes], columns=pd.Index(["task", "worker", "label"])
    )
    found = DawidSkene(n_iter=100).fit_predict_proba(table).reindex(columns=list(schema.classes)).fillna(0.0)
    return {str(clip): row.to_numpy() for clip, row in found.iterrows()}


METHODS: dict[str, Callable[[Sequence[Vote], SingleChoice], dict[str, NDArray[np.float64]]]] = {
    "majority": lambda votes, schema: soft_labels(votes, schema, "majority"),
    "shares": lambda votes, schema: soft_labels(votes, schema, "shares"),
    "reliability": lambda votes, schema: soft_labels(votes, schema, "reliability"),
    "Dawid-Skene": dawid_skene,
}


def judged(labels: NDArray[np.float64], truth: NDArray[np.int64]) -> tuple[float, float]:
    """UA and loss of labels (N, C)."""
    top = np.isclose(labels, labels.max(axis=1, keepdims=True))
    hits = (top / top.sum(axis=1, keepdims=True))[np.arange(len(truth)), truth]
    ua = np.mean([hits[truth == c].mean() for c in np.unique(truth)])
    return float(ua), float(-np.log(np.maximum(labels[np.arange(len(truth)), truth], LEAST)).mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[40, 150])
    parser.add_argument("--draws", type=int, default=12)
    args = parser.parse_args()
    print(f"| annotators' errors, votes | clips | {' | '.join(METHODS)} |\n| --- | --- |{' --- |' * len(METHODS)}")
    for name, (errors, prior, each, fixed) in CROWDS.items():
        schema = SingleChoice(classes=tuple(str(c) for c in range(len(prior))))
        for clips in args.clips:
            found: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
            for seed in range(args.draws):
                truth, votes = draw(errors, prior, each, fixed, clips, seed)
                for method, label in METHODS.items():
                    labels = label(votes, schema)
                    found[method].append(judged(np.array([labels[str(clip)] for clip in range(clips)]), truth))
            cells = [f"{ua:.2f}, {loss:.2f}" for ua, loss in (np.mean(figures, axis=0) for figures in found.values())]
            print(f"| {name} | {clips} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
