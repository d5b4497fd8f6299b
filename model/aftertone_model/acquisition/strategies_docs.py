"""docs/strategies.md, written from the registry: `python -m aftertone_model.acquisition.strategies_docs`."""

from aftertone_model.acquisition.inputs import Requires
from aftertone_model.acquisition.registry import RATING_STRATEGY, STRATEGIES, suitable

REQUIRES = {
    Requires.PROBABILITIES: "the classifier's class probabilities",
    Requires.RATINGS: "the ratings that a regression predicts",
    Requires.MC: "class probabilities under K dropout masks of the head, shared by all clips; the encoder runs once",
    Requires.EMBEDDINGS: "the pooled hidden states that enter the classifier's last layer",
    Requires.SURPRISAL: "the adapted backbone's contrastive loss at seeded masks of each clip; no labels",
    Requires.LABELLED: "the labels so far, and the predictions and embeddings of the clips that have them",
}

OPENING = """\
# Acquisition strategies

Which unlabelled clips to ask for next. Every strategy orders the whole pool: its picks first, the rest after them.
The same inputs and the same seed give the same order.

In the costs, N is the number of unlabelled clips, C of classes, K of dropout samples, D of dimensions of an embedding,
M of labelled clips, k of clips asked for. Working memory beyond the inputs is O(N + M) plus blocks of a fixed size; no
strategy builds an array of N x C x D.

## What a strategy can need
"""

RATINGS = f"""\
Where a project asks for ratings (valence, arousal) there are no class probabilities. These strategies work:
{", ".join(f"`{name}`" for name in suitable(Requires.RATINGS))}. Any other is refused; unless STRATEGY is set,
`{RATING_STRATEGY}` ranks.
"""

GUARD = """\
## The random share

Whatever the strategy, a share of each batch is drawn by chance (`random_share` of the preset: 0.1 in `practical`, 0 in
`paper`) and spread evenly through it, so that a strategy that errs does less harm. The share is fixed; measured, it
costs nothing: without it UA differs by -0.9 to +1.1 points, no more than runs vary
([results](results/README.md#which-part-does-what)).

"""

SEED_SET = """\
## The seed set

Before there is a classifier, clips are asked for by clusters of their representations, clusters taking turns, the
largest first; clips that have labels already use up their cluster's turns. A representation is the mean over time of
what the transformer's layers give, averaged over the layers, every dimension standardised over the pool.

- `kmeans`: k-means with as many clusters as there will be labels (at most 1,000), from each the clip nearest to the
  centre; 1 % of the pool. Ours, and the default.
- `kmeans-elbow`: AFTER's (arXiv 2310.00283 §3.2). K-means on mean CNN frames, as many clusters as the elbow of the
  inertia curve says (1 to 20), the clips nearest to the centres; 1 % of the pool, at least one clip per cluster. The
  paper names neither the elbow's rule nor how clips are shared out; we take the point furthest below the line between
  the curve's ends, and equal turns. Many clips of few clusters are alike: with aftertone-mini this was worse than
  random clips.
- `typiclust`: TypiClust (arXiv 2202.02794 algorithm 1). As many clusters as there will be labels (at most 500), the
  clip nearest to its neighbours (half of the cluster, at most 20). In clusters of more than 500 clips neighbours are
  looked for among 500 of them.
"""


def guide() -> str:
    """The page as Markdown; docs/strategies.md is this text."""
    lines = [OPENING]
    lines += [f"- `{need}`: {meaning}." for need, meaning in REQUIRES.items()]
    lines += ["", "What a strategy needs is computed once per round; what it doesn't need isn't computed.", "", RATINGS]
    for name, strategy in STRATEGIES.items():
        needs = ", ".join(f"`{need}`" for need in REQUIRES if need in strategy.requires) or "nothing"
        lines += [
            f"## {name}",
            "",
            strategy.description,
            "",
            f"- Needs: {needs}",
            f"- Cost: {strategy.cost}",
            f"- Source: {strategy.source}",
        ]
        if strategy.departs:
            lines.append(f"- Departs from it: {strategy.departs}")
        lines.append("")
    return "\n".join([*lines, GUARD + SEED_SET])


if __name__ == "__main__":
    print(guide(), end="")
