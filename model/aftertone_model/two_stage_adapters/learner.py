"""Two-stage adapters in a project: stage 1 again every so many labels, stage 2 in each round."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.digest import digest
from aftertone_model.classification.finetune import Course
from aftertone_model.classification.scoring import Dropout, Scores, in_portions, scores_of
from aftertone_model.config import TrainingConfig
from aftertone_model.data.clips import Clip
from aftertone_model.data.files import Guard
from aftertone_model.labels import LabelSchema
from aftertone_model.learning import AnyLearner
from aftertone_model.pretraining.record import Adaptation
from aftertone_model.pretraining.run import keep_unadapted
from aftertone_model.runtime import Runtime
from aftertone_model.training import Fitted
from aftertone_model.two_stage_adapters.attribute_stage import train_attributes
from aftertone_model.two_stage_adapters.config import LoopConfig, TwoStageConfig
from aftertone_model.two_stage_adapters.model import values_of
from aftertone_model.two_stage_adapters.round_model import TwoStageModel
from aftertone_model.two_stage_adapters.transcript_stage import train_transcripts


class TwoStageLearner(AnyLearner[TwoStageModel]):
    """Learns one question on one pool, with transcripts and other attributes of its clips."""

    def __init__(
        self, backbone: Backbone, schema: LabelSchema, runtime: Runtime, config: TrainingConfig, method: LoopConfig
    ) -> None:
        """Arguments as of any method's learner."""
        super().__init__(backbone, schema, runtime, replace(config, clip_head=False))
        self.method = method

    @property
    def goes_on(self) -> bool:
        """Whether a round wants the model of the one before: it holds the last stage 1."""
        return True

    def _adapt(
        self,
        clips: Sequence[Clip],
        folder: Path,
        guard: Guard,
        labels: Mapping[str, NDArray[np.floating]],
        held_out: Collection[str],
    ) -> Adaptation:
        if self.method.tapt:
            return super()._adapt(clips, folder, guard, labels, held_out)
        return keep_unadapted(self.backbone, clips, folder, "The preset has no TAPT.", self.runtime, guard)

    def _fit(
        self,
        labelled: Sequence[Clip],
        targets: NDArray[np.floating],
        clips: Sequence[Clip],  # noqa: ARG002
        previous: TwoStageModel | None,
    ) -> Fitted[TwoStageModel]:
        runtime, stages, base = self.runtime, self._stages(labelled), digest(self.backbone.body.state_dict())
        losses: tuple[float, ...] = ()
        updates = 0
        goes_on = previous is not None and self._holds(previous, base, len(labelled))
        if previous is not None and goes_on:
            first, first_labels, kept = previous.first.to(runtime.device), previous.first_labels, previous.kept
        else:
            run = train_transcripts(self.backbone, self.schema, labelled, targets, stages, runtime)
            first, first_labels, kept, losses = run.model, len(labelled), None, run.losses
            updates += stages.transcripts.epochs * -(-len(labelled) // stages.transcripts.batch_size)
        run = train_attributes(first, labelled, targets, stages, runtime)
        updates += stages.attributes.epochs * -(-len(labelled) // stages.attributes.batch_size)
        model = TwoStageModel(
            first=first, second=run.model, first_labels=first_labels, started_from=base, kept=kept,
            plain_temperature=previous.plain_temperature if previous is not None and goes_on else 1.0,
        )  # fmt: skip
        predictions = self.schema.predictions(self._score(model, labelled, "features").logits)
        course = Course(
            tuning="adapters" if goes_on else "the transformer, then adapters",
            warm=goes_on,
            updates=updates,
            losses=(*losses, *run.losses),
            collapsed=self.schema.collapsed(targets, predictions),
            train_accuracy=self.schema.accuracy(targets, predictions),
        )
        return Fitted(model=model, course=course, plain=model.plain)

    def _stages(self, labelled: Sequence[Clip]) -> TwoStageConfig:
        """With those attributes that tell labelled clips apart; where none does, all, so that the error names them."""
        stage, attributes = self.method.stages.attributes, [clip.attributes for clip in labelled]
        told = {name: w for name, w in stage.attributes.items() if len(values_of(attributes, name)) > 1}
        return replace(self.method.stages, attributes=replace(stage, attributes=told or stage.attributes))

    def _holds(self, previous: TwoStageModel, base: str, labels: int) -> bool:
        """Whether the last stage 1 still does: of the same transformer and question, and few labels are new."""
        same = previous.started_from == base and previous.schema == self.schema
        return same and previous.first_labels <= labels < previous.first_labels + self.method.again

    def _score(
        self, model: TwoStageModel, clips: Sequence[Clip], stage: str = "score", dropout: Dropout | None = None
    ) -> Scores:
        runtime, judge = self.runtime, model.judge.to(self.runtime.device)

        def describe(frames: Tensor, lengths: Tensor) -> Tensor:
            return judge(frames, lengths).embeddings

        embedded = in_portions(judge.backbone, clips, runtime, stage, describe)
        shape = judge.heads.shape.classes, judge.heads.classifier.in_features
        return scores_of(embedded, len(clips), shape, model.logits, dropout)
