"""How good a round's model is on the test set, and how sure of its answers it should be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition import Requires
from aftertone_model.classification.scoring import Scores
from aftertone_model.data.clips import Clip
from aftertone_model.evaluation.calibration import MIN_CLIPS
from aftertone_model.evaluation.metrics import Metrics
from aftertone_model.evaluation.rating_metrics import RatingMetrics
from aftertone_model.labels import LabelSchema
from aftertone_model.training import Fitted, M

SURE_OF = 64  # clips on which the exported classifier is compared with what judges

Evaluated = tuple[float, Metrics | RatingMetrics | None]
"""The temperature to divide a model's logits by, and its figures; None without a clip on whose answer people agree."""


@dataclass(frozen=True, kw_only=True)
class Evaluator(Generic[M]):
    """Measures the models of one learner."""

    schema: LabelSchema
    score: Callable[[M, Sequence[Clip], str], Scores]  # a model's, of clips, and what is reported as being done
    seed: int

    def plain(
        self, fitted: Fitted[M], clips: Sequence[Clip], labels: NDArray[np.floating], unlabelled: Sequence[Clip]
    ) -> Evaluated:
        """Of the transformers classifier beside what judges; as `model`, but for small test sets.

        With fewer than `MIN_CLIPS` test clips its temperature is the one under which it is as sure of clips without a
        label as what judges; ours, as a classifier of few labels is far too sure (docs/benchmarks/confidence.md).
        """
        assert fitted.plain is not None
        guess = self.as_sure(fitted.plain, fitted.model, unlabelled) if len(labels) < MIN_CLIPS else 1.0
        return self.model(fitted.plain, clips, labels, guess)

    def model(self, model: M, clips: Sequence[Clip], labels: NDArray[np.floating], guess: float = 1.0) -> Evaluated:
        """Of what judges.

        Args:
            clips: the test set, N of them.
            labels: (N, C) their soft labels.
            guess: the temperature where the test set is too small to tell.
        """
        clear = np.flatnonzero(self.schema.clear(labels)) if len(labels) else []
        if len(clear) == 0:
            return guess, None
        tested, labels = [clips[int(row)] for row in clear], labels[clear]
        scores = self.score(model, tested, "test")
        temperature, predictions = self.schema.calibrate(scores.logits / guess, labels, self.seed)
        speakers = [clip.speaker for clip in tested]
        files = [clip.file for clip in tested]
        return guess * temperature, self.schema.measure(labels, predictions, speakers, self.seed, files)

    def as_sure(self, plain: M, model: M, clips: Sequence[Clip]) -> float:
        """The temperature under which `plain` is as sure as `model`, of some of the clips; 1 where there is none."""
        drawn = np.random.default_rng(self.seed).permutation(len(clips))[:SURE_OF]
        if not len(drawn) or self.schema.predicts != Requires.PROBABILITIES:
            return 1.0
        some = [clips[row] for row in sorted(drawn.tolist())]
        logits, judged = (self.score(one, some, "test").logits for one in (plain, model))
        return self.schema.as_sure(logits, self.schema.predictions(judged))
