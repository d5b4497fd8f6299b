"""Every method by its name: the one place that chooses between them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.classification.model import EmotionModel
from aftertone_model.classification.model import load_model as load_emotion_model
from aftertone_model.config import PRESETS
from aftertone_model.export.exported import Exported
from aftertone_model.labels import LabelSchema
from aftertone_model.learner import Learner
from aftertone_model.learning import AnyLearner
from aftertone_model.method_names import AFTER, CONTRASTIVE, TWO_STAGE
from aftertone_model.runtime import Runtime
from aftertone_model.supervised_contrastive.config import LOOP as CONTRASTIVE_LOOP
from aftertone_model.supervised_contrastive.learner import ContrastiveLearner
from aftertone_model.supervised_contrastive.model import load_model as load_pooled_model
from aftertone_model.supervised_contrastive.source import Source
from aftertone_model.two_stage_adapters.config import LOOP as TWO_STAGE_LOOP
from aftertone_model.two_stage_adapters.learner import TwoStageLearner
from aftertone_model.two_stage_adapters.round_model import load_round


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a learner works."""

    runtime: Runtime
    preset: str  # a name in `PRESETS`
    adapted: Path | None = None  # folder that the backbone was adapted into; None before
    source: Source | None = None  # corpora with labels, for a method that adapts by them


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to learn."""

    learner: Callable[[Backbone, LabelSchema, Place], AnyLearner[Any]]
    load: Callable[[Path], Any]  # a round's model, from the folder that its `save` wrote
    exported: Callable[[Any], EmotionModel | Exported]  # what an export takes of a model
    follows: str  # whose method it is, for a model's card


def _after(backbone: Backbone, schema: LabelSchema, place: Place) -> AnyLearner[Any]:
    return Learner(backbone, schema, place.runtime, PRESETS[place.preset])


def _two_stage(backbone: Backbone, schema: LabelSchema, place: Place) -> AnyLearner[Any]:
    return TwoStageLearner(backbone, schema, place.runtime, PRESETS[place.preset], TWO_STAGE_LOOP[place.preset])


def _contrastive(backbone: Backbone, schema: LabelSchema, place: Place) -> AnyLearner[Any]:
    return ContrastiveLearner(
        backbone, schema, place.runtime, PRESETS[place.preset], CONTRASTIVE_LOOP[place.preset],
        adapted=place.adapted, source=place.source,
    )  # fmt: skip


METHODS = {
    AFTER: Method(
        learner=_after,
        load=load_emotion_model,
        exported=lambda model: model,
        follows="AFTER (arXiv 2310.00283)",
    ),
    TWO_STAGE: Method(
        learner=_two_stage,
        load=load_round,
        exported=lambda model: model.exported(),
        follows="two-stage fine-tuning with adapters and multi-task learning",
    ),
    CONTRASTIVE: Method(
        learner=_contrastive,
        load=load_pooled_model,
        exported=lambda model: model.exported(),
        follows="cross-corpus supervised contrastive learning",
    ),
}
