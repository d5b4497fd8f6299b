"""One measurement of a query strategy, ours or a peer's, in the process that runs this; `benchmarks.acquisition` does.

    python -m benchmarks.acquisition_case '{"strategy": "coreset", "library": "aftertone", "candidates": 3000}'

The inputs are made up: a linear head over clustered embeddings, under dropout masks for BatchBALD. 40 clips have
labels. What is timed is from inputs in memory to the picks.
"""

import json
import logging
import math
import resource
import signal
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from logging.handlers import BufferingHandler
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES, DIMENSIONS, LABELLED, RATINGS = 20, 768, 40, 2
PICKS = 100
OUTCOMES = 4_096  # joint outcomes of BatchBALD, ours and the reference's
UNCERTAIN = {"entropy": "entropy", "margin": "margin_sampling", "least-confidence": "least_confident"}
BLOCK = 65_536  # clips whose inputs are made at once, so that making them takes no more memory than holding them
RUNS = {10.0: 5, 60.0: 3, math.inf: 1}  # by how many seconds the first takes at most


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured."""

    strategy: str  # a name of the registry, or the seed set's "typiclust"
    library: str  # "aftertone", or the peer
    candidates: int  # N, clips without a label
    picks: int = PICKS  # k
    seconds: int = 0  # longer than this no run may take; 0: as long as it likes

    @property
    def classes(self) -> int:
        return 8 if self.strategy in UNCERTAIN else 4


class Pool:
    """The inputs of a case, each made when first asked for."""

    def __init__(self, case: Case) -> None:
        self.size, self.classes = case.candidates, case.classes

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """(N, C)."""
        return np.random.default_rng(2).dirichlet(np.ones(self.classes), self.size).astype(np.float32)

    @cached_property
    def ratings(self) -> NDArray[np.float32]:
        """(N, R)."""
        return np.random.default_rng(3).random((self.size, RATINGS), dtype=np.float32)

    @cached_property
    def everything(self) -> NDArray[np.float32]:
        """(M + N, D) embeddings in 30 groups; the first M clips have labels."""
        rng, size = np.random.default_rng(1), LABELLED + self.size
        centres = rng.normal(size=(30, DIMENSIONS)).astype(np.float32)
        groups = rng.integers(0, 30, size)
        points = np.empty((size, DIMENSIONS), dtype=np.float32)
        for start in range(0, size, BLOCK):
            block = points[start : start + BLOCK]
            rng.standard_normal(out=block, dtype=np.float32)
            block += centres[groups[start : start + BLOCK]]
        return points

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """(N, D)."""
        return self.everything[LABELLED:]

    @cached_property
    def mc(self) -> NDArray[np.float32]:
        """(N, K, C) class probabilities of a random linear head under K dropout masks."""
        rng = np.random.default_rng(0)
        weights = rng.normal(size=(DIMENSIONS, self.classes)) / np.sqrt(DIMENSIONS)
        masked = [((rng.random(DIMENSIONS) > 0.3) / 0.7)[:, None] * weights for _ in range(SAMPLES)]
        heads = np.stack(masked, axis=1).reshape(DIMENSIONS, -1).astype(np.float32)  # (D, K C)
        chances = np.empty((self.size, SAMPLES, self.classes), dtype=np.float32)
        for start in range(0, self.size, BLOCK):
            rows = slice(start, start + BLOCK)
            logits = 2 * (self.embeddings[rows] @ heads).reshape(-1, SAMPLES, self.classes)
            exponentials = np.exp(logits - logits.max(axis=2, keepdims=True))
            chances[rows] = exponentials / exponentials.sum(axis=2, keepdims=True)
        return chances

    @property
    def answers(self) -> NDArray[np.float64]:
        """(M + N,) classes, NaN where there is no label: as scikit-activeml takes them."""
        return np.append(np.arange(LABELLED) % self.classes, np.full(self.size, np.nan))

    @cached_property
    def radius(self) -> float:
        """Of ProbCover's balls, as ours computes it; the peer is told."""
        from aftertone_model.acquisition.probcover import pure_radius, unit_length

        return pure_radius(unit_length(self.embeddings), self.classes, np.random.default_rng(0))


def ours(case: Case, pool: Pool) -> Callable[[], Any]:
    from aftertone_model.acquisition import STRATEGIES, Inputs, Labelled  # here: no part of the peers' peak memory
    from aftertone_model.acquisition.seeding import SEEDINGS

    if case.strategy in SEEDINGS and case.strategy not in STRATEGIES:
        labelled = pool.everything[:LABELLED]
        seed = SEEDINGS[case.strategy]
        return lambda: seed(pool.embeddings, case.picks, np.random.default_rng(0), labelled).picks
    strategy = STRATEGIES[case.strategy]
    given: dict[str, Any] = {}
    for need in strategy.requires:
        if need != "labelled":
            given[need.value] = getattr(pool, need.value)
            continue
        labels = np.eye(case.classes)[np.arange(LABELLED) % case.classes]
        if "ratings" in strategy.requires:
            labels = np.random.default_rng(4).random((LABELLED, RATINGS))
        given["labelled"] = Labelled(labels=labels, predictions=labels, embeddings=pool.everything[:LABELLED])
    inputs = Inputs(candidates=case.candidates, **given)
    return lambda: strategy.rank(inputs, case.picks, np.random.default_rng(0)).picks


def batchbald_redux(case: Case, pool: Pool) -> Callable[[], Any]:
    import torch
    from batchbald_redux.batchbald import get_batchbald_batch

    logs = torch.from_numpy(pool.mc).log()
    return lambda: get_batchbald_batch(logs, case.picks, OUTCOMES, dtype=torch.float).indices


def scikit_activeml(case: Case, pool: Pool) -> Callable[[], Any]:
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import Badge, CoreSet, ProbCover, TypiClust, UncertaintySampling

    class Known(SkactivemlClassifier):
        """A classifier whose predictions are known already."""

        def fit(self, X, y, sample_weight=None):  # noqa: ARG002
            return self

        def predict_proba(self, X, **kwargs):  # noqa: ARG002
            return pool.probabilities

    query: Any  # declared with what other arguments would return as well
    if case.strategy in UNCERTAIN or case.strategy == "badge":
        if case.strategy == "badge":
            points, query = pool.embeddings, Badge(random_state=0).query
        else:
            points = pool.probabilities
            query = UncertaintySampling(UNCERTAIN[case.strategy], random_state=0).query
        nobody = np.full(case.candidates, np.nan)
        return lambda: query(points, nobody, Known(), fit_clf=False, batch_size=case.picks)
    points, answers = pool.everything, pool.answers
    if case.strategy == "probcover":
        points = points / np.linalg.norm(points, axis=1, keepdims=True)
        query = ProbCover(n_classes=case.classes, deltas=[pool.radius], random_state=0).query
    elif case.strategy == "typiclust":
        query = TypiClust(k=20, random_state=0).query  # as many neighbours as ours
    else:
        query = {"coreset": CoreSet}[case.strategy](random_state=0).query
    return lambda: np.asarray(query(points, answers, batch_size=case.picks)) - LABELLED


LIBRARIES = {"aftertone": ours, "batchbald-redux": batchbald_redux, "scikit-activeml": scikit_activeml}


def measure(case: Case) -> dict[str, Any]:
    """Runs one case in this process."""
    from benchmarks.acquisition_objective import objectives

    exhausted = BufferingHandler(capacity=1_000)
    logging.getLogger("aftertone_model.acquisition").addHandler(exhausted)
    logging.getLogger("aftertone_model.acquisition").setLevel(logging.INFO)
    pool = Pool(case)
    pick = LIBRARIES[case.library](case, pool)
    walls, cpus, picks = [], [], []
    while not walls or len(walls) < next(runs for most, runs in RUNS.items() if walls[0] <= most):
        signal.alarm(case.seconds)  # ends this process if nobody cancels it
        wall, cpu = time.perf_counter(), time.process_time()
        picks = [int(row) for row in pick()]
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        signal.alarm(0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    chance = np.random.default_rng(9).choice(case.candidates, case.picks, replace=False)
    return {
        "wall": statistics.median(walls),
        "cpu": statistics.median(cpus),
        "peak": peak,
        "runs": len(walls),
        "picks": picks,
        "objectives": objectives(case, pool, np.array(picks)),
        "by_chance": objectives(case, pool, chance),
        "informed": vars(exhausted.buffer[-1])["informed"] if exhausted.buffer else case.picks,
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # the peers', of deprecations and of one radius that isn't tested for purity
    print(json.dumps(measure(Case(**json.loads(sys.argv[1])))))
