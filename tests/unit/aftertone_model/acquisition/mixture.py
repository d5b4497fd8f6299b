"""A made-up pool for tests of what strategies are for: classes as clouds of points, some of them rare."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from aftertone_model.acquisition import Inputs, Labelled


class Mixture:
    """A pool of points with hidden classes; a logistic regression plays the classifier."""

    def __init__(self, sizes: list[int], *, seed: int, labels: int, apart: float = 2.2) -> None:
        """
        Args:
            sizes: points of each class.
            labels: points that are labelled from the start, drawn by chance, and one of each class.
            apart: distance of the class centres in deviations of a class.
        """
        rng = np.random.default_rng(seed)
        centres = rng.normal(size=(len(sizes), 16))
        centres *= apart / np.linalg.norm(centres, axis=1, keepdims=True)
        self.classes = np.repeat(np.arange(len(sizes)), sizes)
        self.points = centres[self.classes] + rng.normal(size=(len(self.classes), 16)) / np.sqrt(2)
        ones = [int(rng.choice(np.flatnonzero(self.classes == number))) for number in range(len(sizes))]
        self.labelled = np.unique([*ones, *rng.permutation(len(self.classes))[:labels]])

    @property
    def unlabelled(self) -> np.ndarray:
        """Rows of the points without a label: the candidates."""
        return np.setdiff1d(np.arange(len(self.classes)), self.labelled)

    def inputs(self) -> Inputs:
        """After a round of training on all labels so far."""
        model = LogisticRegression(class_weight="balanced").fit(self.points[self.labelled], self.classes[self.labelled])
        probabilities = model.predict_proba(self.points)
        return Inputs(
            candidates=len(self.unlabelled),
            probabilities=probabilities[self.unlabelled],
            embeddings=self.points[self.unlabelled],
            labelled=Labelled(
                labels=np.eye(probabilities.shape[1])[self.classes[self.labelled]],
                predictions=probabilities[self.labelled],
                embeddings=self.points[self.labelled],
            ),
        )

    def label(self, picks: np.ndarray) -> None:
        """Reveal candidates, given by their rows in `inputs`."""
        self.labelled = np.union1d(self.labelled, self.unlabelled[picks])
