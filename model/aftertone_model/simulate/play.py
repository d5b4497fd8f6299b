"""One simulated project as it goes: which clips were asked about, and what the annotators said."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aftertone_model.classification.model import EmotionModel
from aftertone_model.cross_fitting import MIN_LABELS, cross_fitted
from aftertone_model.data.clips import Clip
from aftertone_model.learner import Learner
from aftertone_model.simulate.crowd import Crowd, draw_vote, turns
from aftertone_model.simulate.grid import ALL, ALLOCATED, Cell, Initialisation
from aftertone_model.votes.active_lab import NO_VOTE, active_lab, next_votes
from aftertone_model.votes.soft_labels import soft_labels
from aftertone_model.votes.vote import Vote


class Play:
    """Asks for votes, as the cell says, until a budget is spent. Deterministic under the cell's seed."""

    def __init__(
        self,
        learner: Learner,
        cell: Cell,
        crowd: Crowd,
        clips: Sequence[Clip],
        others: Sequence[Clip],
        hidden: dict[str, NDArray[np.float64]],
    ) -> None:
        """
        Args:
            clips: the pool.
            others: clips to test on, of speakers whose location they tell.
            hidden: clip id -> (C,) one-hot truth.
        """
        self._learner, self._cell, self._crowd, self._clips = learner, cell, crowd, list(clips)
        self._everyone = [*clips, *others]
        self._truth = {id: int(label.argmax()) for id, label in hidden.items()}
        self._classes = learner.schema.classes
        self._confusions = crowd.confusions(self._classes)  # (A, C, C)
        self._asked: dict[str, list[Vote]] = {}  # clip -> its votes, in the order of the first of them

    @property
    def labelled(self) -> list[str]:
        """Ids of clips with a vote, in the order in which they were asked for."""
        return list(self._asked)

    @property
    def revealed(self) -> list[int]:
        """True class of each labelled clip."""
        return [self._truth[id] for id in self._asked]

    @property
    def votes(self) -> int:
        """How many were given so far."""
        return sum(map(len, self._asked.values()))

    @property
    def labels(self) -> dict[str, NDArray[np.float64]]:
        """Clip id -> soft label (C,), made of its votes as the config says."""
        votes = (vote for cast in self._asked.values() for vote in cast)
        return soft_labels(votes, self._learner.schema, self._learner.config.votes)

    def spend(self, budget: int, model: EmotionModel | None) -> None:
        """Ask until there are so many votes in all.

        Args:
            model: the last round's; None before the first.
        """
        left = budget - self.votes
        if self._cell.voting == ALLOCATED and model is not None:
            again = self._worth_another(left, model)
            new = self._new(left - len(again), model)
            for id in [*again, *new]:
                self._ask(id)
        else:
            each = 1 if self._cell.voting == ALLOCATED else int(self._cell.voting)
            # Seed sets smaller than the votes of one clip still have a clip.
            for id in self._new(max(left // each, 0 if self._asked else 1), model):
                for _ in range(each):
                    self._ask(id)

    def _ask(self, id: str) -> None:
        """Another vote on a clip, of the annotator whose turn it is."""
        cast = self._asked.setdefault(id, [])
        truth, seed = self._truth[id], self._cell.seed
        if self._crowd.annotators == 0:
            cast.append(Vote(clip=id, annotator="corpus", chosen=(self._classes[truth],)))
            return
        who = int(turns(id, self._crowd.annotators, seed)[len(cast)])
        chosen = draw_vote(id, who, truth, self._confusions, seed)
        cast.append(Vote(clip=id, annotator=str(who), chosen=(self._classes[chosen],)))

    def _new(self, k: int, model: EmotionModel | None) -> list[str]:
        """Ids of the k clips to ask about first."""
        if k <= 0:
            return []
        if model is not None:
            return list(self._learner.rank(model, self._clips, k, self.labels, self._cell.strategy).picks)
        if self._cell.strategy == ALL:
            return [clip.id for clip in self._clips]
        if self._cell.initialisation == Initialisation.CLUSTERED:
            return list(self._learner.seed(self._clips, k).picks)
        ids = sorted(clip.id for clip in self._clips)
        return [ids[row] for row in np.random.default_rng(self._cell.seed).permutation(len(ids))[:k]]

    def _worth_another(self, k: int, model: EmotionModel) -> list[str]:
        """Labelled clips whose next vote is worth more than a new clip's, at most k; new clips are the strategy's."""
        by_id = {clip.id: clip for clip in self._clips}
        labelled = self.labelled
        unlabelled = sorted(by_id.keys() - self._asked.keys())
        matrix = np.full((len(labelled), self._crowd.annotators), NO_VOTE)
        for row, id in enumerate(labelled):
            for vote in self._asked[id]:
                matrix[row, int(vote.annotator)] = self._classes.index(vote.chosen[0])
        probabilities = self._cross_fitted([by_id[id] for id in labelled], model)
        others = probabilities[:0]
        if unlabelled:
            others = self._learner.predict(model, [by_id[id] for id in unlabelled])
        scores = active_lab(matrix, probabilities, others)
        full = (matrix != NO_VOTE).all(axis=1)
        return list(next_votes(scores, labelled, unlabelled, k, full).again)

    def _cross_fitted(self, clips: Sequence[Clip], model: EmotionModel) -> NDArray[np.float64]:
        """(N, C) predictions for labelled clips by trainings without their labels."""
        if len(clips) < MIN_LABELS:
            return self._learner.predict(model, clips)
        return cross_fitted(self._learner, clips, self.labels, self._everyone, self._cell.seed)
