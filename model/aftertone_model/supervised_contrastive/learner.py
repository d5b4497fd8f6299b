"""Cross-corpus supervised contrastive learning in a project: stage 1 where others adapt, stage 2 in each round."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.backbones.encoder import Encoder
from aftertone_model.classification.finetune import Course, finetune
from aftertone_model.classification.scoring import Dropout, Scores, in_portions, score, scores_of
from aftertone_model.config import PRACTICAL, Stage, TrainingConfig, Tuning
from aftertone_model.data.clips import Clip
from aftertone_model.data.files import Guard, whole_folder
from aftertone_model.errors import CorpusError
from aftertone_model.labels import LabelSchema
from aftertone_model.learning import AnyLearner
from aftertone_model.method_names import CONTRASTIVE, purpose
from aftertone_model.pretraining.record import Adaptation, read_adaptation
from aftertone_model.pretraining.run import adapt, keep_unadapted
from aftertone_model.runtime import Runtime
from aftertone_model.supervised_contrastive.batches import contextualised
from aftertone_model.supervised_contrastive.classifier_stage import train_classifier
from aftertone_model.supervised_contrastive.config import LoopConfig
from aftertone_model.supervised_contrastive.encoder_stage import EncoderTrainer
from aftertone_model.supervised_contrastive.model import PooledModel, load_pooling, save_pooling
from aftertone_model.supervised_contrastive.source import Source, SourceClip, copy_clips
from aftertone_model.training import Fitted

TARGET = "this project"  # name of the corpus of the project's own labels


class ContrastiveLearner(AnyLearner[PooledModel]):
    """Learns one question on one pool, above a transformer that learned emotions from other corpora."""

    def __init__(
        self,
        backbone: Backbone,
        schema: LabelSchema,
        runtime: Runtime,
        config: TrainingConfig,
        method: LoopConfig,
        *,
        adapted: Path | None = None,
        source: Source | None = None,
    ) -> None:
        """
        Args:
            backbone, schema, runtime, config: as of any method.
            adapted: folder that `adapt` wrote and the backbone comes from; None before.
            source: what `adapt` learns from; nothing else needs it.
        """
        super().__init__(backbone, schema, runtime, replace(config, clip_head=False))
        self.method, self.adapted, self.source = method, adapted, source

    def _adapt(
        self,
        clips: Sequence[Clip],
        folder: Path,
        guard: Guard,
        labels: Mapping[str, NDArray[np.floating]],
        held_out: Collection[str],
    ) -> Adaptation:
        """TAPT on the pool, where the config has it; then stage 1 on the source and on the labels known so far."""
        if self.source is None:
            raise CorpusError(
                "Supervised contrastive learning needs corpora with labels. Set `source` to a manifest.csv with the "
                "columns path, emotion and corpus, or to an earlier project such as project:3."
            )
        self.adapted = folder
        wanted, found = purpose(CONTRASTIVE, self.source.name), read_adaptation(folder)
        if found is not None and not found.of_another(self.backbone.name) and found.made_for == wanted:
            return found
        part = folder.with_name(f"{folder.name}.part")
        part.mkdir(parents=True, exist_ok=True)
        if self.method.tapt:
            record = adapt(self.backbone, clips, self.tapt, part / "tapt", self.runtime)
        else:
            record = keep_unadapted(
                self.backbone, clips, part / "tapt", "There is no TAPT in this preset.", self.runtime
            )
        backbone = load_backbone(str(part / "tapt"), seed=self.runtime.seed).to(self.runtime.device)
        learned = self._stage_1_clips(clips, labels, held_out)
        trainer = EncoderTrainer(
            backbone,
            [one.clip for one in learned],
            [one.emotion for one in learned],
            [one.corpus for one in learned],
            self.method.stages.encoder,
            replace(self.runtime, pool=self.source.pool),
        )
        pooling = trainer.train()
        said = (
            f"{record.reason} Then the transformer learned emotions from {len(learned)} clips of "
            f"{len(trainer.sampler.names)} corpora; its loss went from {trainer.losses[0]:.3f} to "
            f"{trainer.losses[-1]:.3f}."
        )
        record = replace(record, kept=True, reason=said, made_for=wanted)
        with whole_folder(folder, guard=guard) as scratch:
            backbone.save(scratch)
            save_pooling(pooling, scratch)
            record.write(scratch)
        shutil.rmtree(part, ignore_errors=True)
        return record

    def _stage_1_clips(
        self, clips: Sequence[Clip], labels: Mapping[str, NDArray[np.floating]], held_out: Collection[str]
    ) -> list[SourceClip]:
        """The source without the test set's speakers, and the project's own labels as a corpus beside it, where they
        name two emotions."""
        assert self.source is not None
        tested = [clip for clip in clips if clip.id in held_out]
        found = {one.clip.id: one for one in self.source.without(tested)}
        known = [clip for clip in clips if clip.id in labels and clip.id not in held_out and clip.id not in found]
        targets = self.schema.stack(labels, [clip.id for clip in known])
        clear = self.schema.clear(targets) if known and self.schema.exclusive else np.zeros(len(known), bool)
        own = [clip for clip, whole in zip(known, clear, strict=True) if whole]
        emotions = [self.schema.classes[int(np.argmax(label))] for label in targets[clear]]
        if len(set(emotions)) > 1:
            copied = copy_clips(own, emotions, TARGET, self.runtime.pool, self.source.pool)
            found |= {one.clip.id: one for one in copied}
        return sorted(found.values(), key=lambda one: one.clip.id)

    def _fit(
        self,
        labelled: Sequence[Clip],
        targets: NDArray[np.floating],
        clips: Sequence[Clip],  # noqa: ARG002
        previous: PooledModel | None,  # noqa: ARG002
    ) -> Fitted[PooledModel]:
        assert self.adapted is not None
        backbone, runtime = self.backbone.to(self.runtime.device), self.runtime
        pooling = load_pooling(self.adapted).to(runtime.device)
        head = train_classifier(
            backbone, pooling, self.schema, labelled, targets, self.method.stages.classifier, runtime
        )
        probe = [Stage(tuning=Tuning.PROBE)]
        plain = finetune(
            backbone, self.schema, labelled, targets, PRACTICAL, runtime, stages=probe, cache=self._features.cache
        )
        model = PooledModel(classifier=plain.classifier, head=head)
        predictions = self.schema.predictions(self._score(model, labelled, "features").logits)
        stage = self.method.stages.classifier
        course = Course(
            tuning="pooling and classifier",
            updates=stage.epochs * -(-len(labelled) // stage.batch_size),
            losses=(),
            collapsed=self.schema.collapsed(targets, predictions),
            train_accuracy=self.schema.accuracy(targets, predictions),
        )
        return Fitted(model=model, course=course, plain=PooledModel(classifier=plain.classifier, head=None))

    def _score(
        self, model: PooledModel, clips: Sequence[Clip], stage: str = "score", dropout: Dropout | None = None
    ) -> Scores:
        head, runtime = model.head, self.runtime
        if head is None:
            cache = self._features.cache_for(model.classifier)
            return score(model.classifier, clips, runtime, dropout=dropout, cache=cache, stage=stage)
        head.to(runtime.device)
        model.classifier.to(runtime.device)  # pyright: ignore[reportArgumentType] -- transformers' wrapper
        encoder = Encoder(model.classifier)

        def describe(frames: Tensor, lengths: Tensor) -> Tensor:
            return head.pooling(contextualised(encoder, frames, lengths), lengths)

        embedded = in_portions(encoder, clips, runtime, stage, describe)
        return scores_of(embedded, len(clips), (head.classes, head.width), head.layers, dropout)
