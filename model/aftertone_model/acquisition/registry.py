"""Every acquisition strategy by name. The docs page and `aftertone strategies` are printed from this dict."""

from aftertone_model.acquisition.alps import rank_by_alps
from aftertone_model.acquisition.anchoral import rank_by_anchoral
from aftertone_model.acquisition.badge import rank_by_badge
from aftertone_model.acquisition.bald import rank_by_bald, rank_by_powerbald
from aftertone_model.acquisition.batchbald import rank_by_batchbald
from aftertone_model.acquisition.clusters import (
    rank_by_entropy_and_clusters,
    rank_by_kmeans,
    rank_by_margin_and_clusters,
)
from aftertone_model.acquisition.coreset import rank_by_coreset
from aftertone_model.acquisition.direct import rank_by_direct
from aftertone_model.acquisition.greedy_sampling import rank_by_greedy_sampling
from aftertone_model.acquisition.inputs import Requires
from aftertone_model.acquisition.probcover import rank_by_probcover
from aftertone_model.acquisition.random_sampling import rank_by_chance
from aftertone_model.acquisition.strategy import Strategy
from aftertone_model.acquisition.typiclust import rank_by_typiclust_then_margin
from aftertone_model.acquisition.uncertainty import rank_by_entropy, rank_by_least_confidence, rank_by_margin
from aftertone_model.errors import StrategyError

STRATEGIES: dict[str, Strategy] = {
    "random": Strategy(
        description="Clips drawn by chance: the baseline to beat, and unbiased.",
        requires=frozenset(),
        cost="O(N)",
        source="Baseline",
        function=rank_by_chance,
    ),
    "entropy": Strategy(
        description="Clips whose class probabilities are the most spread out. AFTER's own choice.",
        requires=frozenset({Requires.PROBABILITIES}),
        cost="O(N C)",
        source="Li et al. 2023, AFTER, arXiv 2310.00283 §3.2; Shannon entropy in nats",
        function=rank_by_entropy,
    ),
    "least-confidence": Strategy(
        description="Clips whose likeliest class is the least likely.",
        requires=frozenset({Requires.PROBABILITIES}),
        cost="O(N C)",
        source="Settles 2009, Active Learning Literature Survey §3.1; AFTER §3.1.2",
        function=rank_by_least_confidence,
    ),
    "margin": Strategy(
        description="Clips whose two likeliest classes are the closest.",
        requires=frozenset({Requires.PROBABILITIES}),
        cost="O(N C)",
        source="Scheffer et al. 2001; Settles 2009 §3.1; AFTER §3.1.2",
        function=rank_by_margin,
    ),
    "bald": Strategy(
        description="Clips on which the dropout samples of the classifier disagree the most, each judged alone.",
        requires=frozenset({Requires.MC}),
        cost="O(N K C)",
        source="Houlsby et al. 2011, arXiv 1112.5745 eq. 2; Gal et al. 2017, arXiv 1703.02910",
        function=rank_by_bald,
    ),
    "batchbald": Strategy(
        description="The batch that says most about the classifier as a whole, not clip by clip; single choice only.",
        requires=frozenset({Requires.MC}),
        cost="at most O(k N M K C) time for M = 4,096 joint outcomes, a fraction of it in practice; O(N) memory",
        source="Kirsch et al. 2019, arXiv 1906.08158 algorithm 1",
        exclusive_only=True,
        departs="once a pick gains under 1 % of the largest BALD score, PowerBALD draws; K samples hold log K nats.",
        function=rank_by_batchbald,
    ),
    "powerbald": Strategy(
        description="A random draw in proportion to BALD: as cheap, and without its near-duplicates.",
        requires=frozenset({Requires.MC}),
        cost="O(N K C)",
        source="Kirsch, Farquhar et al. 2021, arXiv 2106.12059 §3, beta = 1",
        function=rank_by_powerbald,
    ),
    "badge": Strategy(
        description="Clips whose gradients are large and point in different directions: uncertain and diverse at once.",
        requires=frozenset({Requires.PROBABILITIES, Requires.EMBEDDINGS}),
        cost="O(k N (C + D)) time, O(N) memory",
        source="Ash et al. 2020, arXiv 1906.03671 algorithm 1; factored as in arXiv 2306.09910 appendix D",
        departs="the first pick is the largest gradient, as in the authors' code; k-means++ draws it by chance.",
        function=rank_by_badge,
    ),
    "alps": Strategy(
        description="Clips spread over how hard their masked frames are to predict; wav2vec 2.0 and XLS-R only.",
        requires=frozenset({Requires.SURPRISAL}),
        cost="O(k N B), B = 32; the surprisal itself costs about 60 times as much as scoring the pool once",
        source="Yuan et al. 2020, arXiv 2010.09535, carried over from text to audio",
        departs="a clip's vector is 32 quantiles of its loss, not its loss by position (masked_loss_profiles.py).",
        function=rank_by_alps,
    ),
    "kmeans": Strategy(
        description='The clip nearest to each of k cluster centres: spread alone ("wav2vec 2.0 & clustering").',
        requires=frozenset({Requires.EMBEDDINGS}),
        cost="O(k N D), centres fitted on at most 20,000 clips",
        source="AFTER, arXiv 2310.00283 §3.1.2",
        departs="the paper names no details; the vectors are the fine-tuned classifier's.",
        function=rank_by_kmeans,
    ),
    "entropy-clusters": Strategy(
        description="The 10 k clips of highest entropy, clustered; one from each of k clusters.",
        requires=frozenset({Requires.PROBABILITIES, Requires.EMBEDDINGS}),
        cost="O(N C + k² D)",
        source="Zhdanov 2019, arXiv 1901.05954 algorithm 1, with entropy as the informativeness",
        departs="entropy in place of the margin; the 10 k clips are at most half of the pool. AFTER's "
        "Entropy+Clustering is `entropy` after a clustered seed set.",
        function=rank_by_entropy_and_clusters,
    ),
    "cluster-margin": Strategy(
        description="The 4 k clips whose two likeliest classes are the closest, clustered; one of each of k clusters.",
        requires=frozenset({Requires.PROBABILITIES, Requires.EMBEDDINGS}),
        cost="O(N C + k² D)",
        source="after Citovsky et al. 2021, ClusterMargin, arXiv 2107.14263",
        departs="k-means of the small margins in every round. The paper clusters the whole pool once, hierarchically, "
        "and draws the small margins from its clusters in turns, the smallest cluster first. The 4 k clips are at most "
        "half of the pool.",
        function=rank_by_margin_and_clusters,
    ),
    "typiclust-margin": Strategy(
        description="The most typical clip of each cluster without a label; from 20 labels per class on, by margin.",
        requires=frozenset({Requires.PROBABILITIES, Requires.EMBEDDINGS, Requires.LABELLED}),
        cost="O((k + M) N D) with fewer than 20 C labels M, O(N C) with more; centres fitted on at most 20,000 clips",
        source="Doucet et al. 2024, TCM, arXiv 2403.03728; Hacohen et al. 2022, TypiClust, arXiv 2202.02794",
        departs="20 labels per class are our choice of when to change over. The vectors are the classifier's, not "
        "those of the backbone alone; of clusters over 500 clips neighbours are looked for among 500.",
        function=rank_by_typiclust_then_margin,
    ),
    "coreset": Strategy(
        description="Again and again the clip furthest from all labelled ones: no clip is left far from a label.",
        requires=frozenset({Requires.EMBEDDINGS, Requires.LABELLED}),
        cost="O((k + M) N D) for M labelled clips",
        source="Sener, Savarese 2018, CoreSet, arXiv 1708.00489 algorithm 1 (greedy k-centre)",
        departs="without the integer program that makes the cover robust to outliers, as in most implementations.",
        function=rank_by_coreset,
    ),
    "probcover": Strategy(
        description="Clips whose neighbourhoods hold the most clips that no labelled clip's neighbourhood holds.",
        requires=frozenset({Requires.EMBEDDINGS, Requires.LABELLED}),
        cost="O(N S D + k N S / 64) for S = 2,048 clips to be covered; N S bits",
        source="Yehuda et al. 2022, ProbCover, arXiv 2205.11320 algorithm 1, with its radius of 95 % purity",
        departs="the radius is computed instead of tried on a grid; beyond 2,048 clips a random 2,048 are to be "
        "covered, by any clip. Once all are covered, a second cover begins. The vectors are the classifier's.",
        classes_only=True,
        function=rank_by_probcover,
    ),
    "direct": Strategy(
        description="Of each class in turn clips around the score that parts its labelled ones best: for rare classes.",
        requires=frozenset({Requires.PROBABILITIES, Requires.LABELLED}),
        cost="O(C N log N)",
        source="Nuggehalli et al. 2025, DIRECT, arXiv 2312.09196, and the authors' code (in LabelBench)",
        departs="half of a class's clips are drawn where the cut may lie and half lie around it, in one go: the cut "
        "isn't moved by labels given within the batch. Equal cuts: the middle one. Classes get equally many, in turns.",
        function=rank_by_direct,
    ),
    "anchoral": Strategy(
        description="By margin, only among clips that resemble some labelled ones of each class: for rare classes.",
        requires=frozenset({Requires.PROBABILITIES, Requires.EMBEDDINGS, Requires.LABELLED}),
        cost="O(C A N D) for A = 10 anchors per class",
        source="Lesci, Vlachos 2024, AnchorAL, arXiv 2404.05623",
        departs="classes fill the subpool in turns; it holds at most a tenth of the pool (at least 2 k clips). "
        "Neighbours are found exactly, without an index.",
        function=rank_by_anchoral,
    ),
    "igs": Strategy(
        description="Clips far from all labelled ones both in what they are and in how they are rated; ratings only.",
        requires=frozenset({Requires.RATINGS, Requires.EMBEDDINGS, Requires.LABELLED}),
        cost="O((k + M) N D) for M labelled clips",
        source="Wu, Lin, Huang 2019, iGS, arXiv 1808.04245; for several dimensions Wu, Huang 2019, arXiv 1808.04244",
        departs="the regression isn't trained anew within a batch: a pick counts with the ratings predicted for it.",
        function=rank_by_greedy_sampling,
    ),
}

RATING_STRATEGY = "igs"
"""What ranks ratings where the strategy of the preset can't."""


def suitable(predicts: str) -> tuple[str, ...]:
    """Names of the strategies that can rank by what a model predicts: `probabilities` or `ratings`."""
    return tuple(name for name, strategy in STRATEGIES.items() if strategy.suits(predicts))


def find_strategy(name: str, predicts: str | None = None) -> Strategy:
    """The strategy of that name.

    Args:
        predicts: what it must rank by, `probabilities` or `ratings`; None where that isn't known yet.

    Raises:
        StrategyError: there is none, or it can't.
    """
    if name not in STRATEGIES:
        raise StrategyError(f"There is no strategy {name!r}. Set one of: {', '.join(STRATEGIES)}.")
    if predicts is not None and not STRATEGIES[name].suits(predicts):
        raise StrategyError(
            f"The strategy {name!r} can't rank by {predicts} of clips. Set one of: {', '.join(suitable(predicts))}."
        )
    return STRATEGIES[name]


def default_strategy(name: str, predicts: str) -> str:
    """A preset's strategy where it suits, else `RATING_STRATEGY`."""
    return name if find_strategy(name).suits(predicts) else RATING_STRATEGY
