"""How reliable each annotator is, and what their votes on a clip then say about its class."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aftertone_model.votes.vote import Vote

PRIOR_VOTES = 20  # votes that an annotator's own record must exceed before it counts more than everybody's mean
MARGIN = 0.02  # by how much any annotator is taken to be better than chance, so that a lone vote wins
MOST = 0.98  # nobody is taken to be surer than this
ITERATIONS = 100  # of EM, at most


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How often annotators are right: the skills of a one-coin Dawid-Skene model, shrunk towards their mean."""

    skills: dict[str, float]  # annotator -> probability of the right class; errors fall on all others alike
    mean: float  # of an annotator about whom nothing is known

    def posterior(self, votes: Sequence[Vote], classes: Sequence[str]) -> NDArray[np.float64]:
        """(C,) probabilities of the class of one clip, given its votes, from even odds.

        The classes' frequencies are left out on purpose: with them a lone vote for a rare class would lose to what is
        common, and active learning collects such votes. The loss's class weights see to the frequencies.
        """
        wrong = len(classes) - 1
        log_odds = np.zeros(len(classes))
        for vote in votes:
            skill = self.skills.get(vote.annotator, self.mean)
            likelihood = np.full(len(classes), (1 - skill) / wrong)
            chosen = [classes.index(name) for name in vote.chosen]
            likelihood[chosen] += (skill - (1 - skill) / wrong) / len(chosen)  # half a vote for each of two
            log_odds += np.log(likelihood)
        odds = np.exp(log_odds - log_odds.max())
        return odds / odds.sum()


def estimate_reliability(votes: Sequence[Vote], classes: Sequence[str]) -> Reliability | None:
    """Compare annotators on the clips that several of them answered; None where there is no such clip.

    Skills are those of crowd-kit's OneCoinDawidSkene, whose one number per annotator can be told from few votes; full
    confusion matrices can't (docs/training.md). An annotator with n votes on shared clips gets
    (n · own + 20 · mean) / (n + 20), within what is better than chance.

    Source: Dawid & Skene 1979; the one-coin model of Zhang et al. 2016 (arXiv 1406.3824).

    Args:
        votes: for known classes only. Votes for several classes are left aside here.
    """
    plain = sorted((v.clip, v.annotator, v.chosen[0]) for v in votes if len(v.chosen) == 1)
    voters: dict[str, set[str]] = {}
    for clip, annotator, _ in plain:
        voters.setdefault(clip, set()).add(annotator)
    shared = [row for row in plain if len(voters[row[0]]) > 1]
    if not shared:
        return None
    counts = Counter(annotator for _, annotator, _ in shared)
    own = _skills(shared)
    mean = sum(own[name] * count for name, count in counts.items()) / len(shared)
    lowest = 1 / len(classes) + MARGIN

    def bounded(skill: float) -> float:
        return float(np.clip(skill, lowest, max(MOST, lowest)))

    skills = {
        name: bounded((own[name] * count + mean * PRIOR_VOTES) / (count + PRIOR_VOTES))
        for name, count in counts.items()
    }
    return Reliability(skills=skills, mean=bounded(mean))


def _skills(shared: Sequence[tuple[str, str, str]]) -> dict[str, float]:
    """Annotator -> skill, from rows of clip, annotator and class; several annotators answered each clip."""
    if len({chosen for *_, chosen in shared}) == 1:
        return {annotator: 1.0 for _, annotator, _ in shared}  # all agree; the model needs a second class
    import pandas as pd  # with crowd-kit a second or more, and only several annotators need it
    from crowdkit.aggregation import OneCoinDawidSkene

    table = pd.DataFrame(list(shared), columns=pd.Index(["task", "worker", "label"]))
    skills = OneCoinDawidSkene(n_iter=ITERATIONS).fit(table).skills_
    return {str(name): float(skill) for name, skill in skills.items()}
