"""A round's own model, made ready to judge clips that the round didn't score."""

from typing import Any

from aftertone.settings import Settings
from aftertone.store.project import ProjectStore
from aftertone.store.rounds import Round
from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.data.pool import Pool
from aftertone_model.learning import AnyLearner
from aftertone_model.methods import METHODS, Place
from aftertone_model.progress import Progress, silent
from aftertone_model.runtime import Runtime, device_named


def round_judge(
    store: ProjectStore, settings: Settings, record: Round, pool: Pool, progress: Progress = silent
) -> tuple[AnyLearner[Any], Any]:
    """The learner and the model of a round that keeps its weights; `learner.predict(model, clips)` judges.

    Args:
        settings: where to compute.
        pool: holds the clips.
    """
    method, seed = METHODS[record.method], record.seed
    with store.round_model(record.number) as (_, folder):
        model = method.load(folder)
    runtime = Runtime(pool=pool, device=device_named(settings.device), seed=seed, progress=progress)
    adapted = store.adapted if store.adapted.is_dir() else None
    named = (record.training.backbone if record.training else "") or settings.backbone
    place = Place(runtime=runtime, preset=settings.preset, adapted=adapted)
    learner = method.learner(load_backbone(str(adapted or named), seed=seed), record.label_schema, place)
    return learner, model
