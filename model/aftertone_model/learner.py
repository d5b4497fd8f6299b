"""AFTER's method as one object: adapt, seed, train, rank. The backend and the simulator drive the same."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aftertone_model.classification.finetune import finetune
from aftertone_model.classification.model import EmotionModel
from aftertone_model.classification.scoring import Dropout, Scores, score
from aftertone_model.config import Tuning
from aftertone_model.data.clips import Clip
from aftertone_model.learning import AnyLearner
from aftertone_model.training import Fitted, Training

__all__ = ["Learner", "Training"]


class Learner(AnyLearner[EmotionModel]):
    """Learns one question on one pool by AFTER's method. Same inputs and seed, same picks."""

    def judge(
        self,
        labels: Mapping[str, NDArray[np.floating]],
        clips: Sequence[Clip],
        previous: EmotionModel | None = None,
    ) -> EmotionModel:
        """The model of `train` with no test set, in less time: a transformers classifier that only probes the backbone
        is left untrained where a clip head beside it judges. For simulations.

        Raises:
            LabelError: as `train`.
        """
        probes = all(stage.tuning is Tuning.PROBE for stage in self.config.stages(len(labels)))
        warm = self.config.warm_start and previous is not None  # whose transformer may be tuned
        if not labels or not probes or warm or not self.config.clip_head:
            return self.train(labels, {}, clips, previous).model
        labelled, targets = self._taught(labels, labels.keys(), clips)
        classifier = self._features.untrained_classifier()
        return EmotionModel(classifier=classifier, head=self._features.fit_head(classifier, labelled, targets, clips))

    @property
    def goes_on(self) -> bool:
        """Whether a round wants the model of the one before."""
        return self.config.warm_start

    def _fit(
        self,
        labelled: Sequence[Clip],
        targets: NDArray[np.floating],
        clips: Sequence[Clip],
        previous: EmotionModel | None,
    ) -> Fitted[EmotionModel]:
        tuned = finetune(
            self.backbone.to(self.runtime.device),
            self.schema,
            labelled,
            targets,
            self.config,
            self.runtime,
            previous=None if previous is None else previous.classifier,
            cache=self._features.cache,
        )
        plain = EmotionModel(classifier=tuned.classifier)
        if not self.config.clip_head:
            return Fitted(model=plain, course=tuned)
        head = self._features.fit_head(tuned.classifier, labelled, targets, clips)
        return Fitted(model=EmotionModel(classifier=tuned.classifier, head=head), course=tuned, plain=plain)

    def _score(
        self, model: EmotionModel, clips: Sequence[Clip], stage: str = "score", dropout: Dropout | None = None
    ) -> Scores:
        return score(
            model.classifier,
            clips,
            self.runtime,
            head=model.head,
            dropout=dropout,
            cache=self._features.cache_for(model.classifier),
            stage=stage,
        )
