"""`aftertone export`: a round's model as a folder that transformers loads, with a card that says how good it is."""

from pathlib import Path

from aftertone.errors import StoreError
from aftertone.labelstudio.snapshot import kept_tasks
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore
from aftertone.store.rounds import Round
from aftertone_model.classification.classifier import load_classifier
from aftertone_model.data.clips import Clip
from aftertone_model.data.files import whole_folder
from aftertone_model.evaluation.test_split import speaker_disjoint
from aftertone_model.export import Provenance, export
from aftertone_model.pretraining.record import read_adaptation


def export_model(store: ProjectStore, settings: Settings, folder: Path, number: int | None = None) -> Round:
    """Write a round's model into `folder`, whole or not at all.

    Args:
        folder: where to; must not exist yet, so that nothing of yours is overwritten.
        number: of the round; the newest with a model by default.

    Raises:
        StoreError: `folder` exists, or there is no such model.
    """
    if folder.exists():
        raise StoreError(f"{folder} exists already. Name another folder with --out, or remove it.")
    source = store.model_folder(number)
    record = store.round(int(source.parent.name))
    adaptation = read_adaptation(store.adapted)
    clips = _clips(store)
    with whole_folder(folder) as scratch:
        provenance = Provenance(
            name=f"Speech emotion, Label Studio project {store.folder.name}, round {record.number}",
            backbone=settings.backbone,
            adapted=adaptation is not None and adaptation.kept,
            clips=len(clips),
            hours=sum(clip.seconds for clip in clips) / 3600,
            labels=dict(zip(record.classes, (record.training or {})["per_class"], strict=True)),
            strategy=record.strategy,
            metrics=record.exam,
            speaker_disjoint=speaker_disjoint(clips, store.exam()),
        )
        export(load_classifier(source), scratch, provenance)
    return record


def _clips(store: ProjectStore) -> list[Clip]:
    """The pool as it was last read, with speakers."""
    sources = store.sources()
    found: dict[str, Clip] = {}
    for task in kept_tasks(store.tasks_file):
        source = sources.get(task.source)
        if source is not None and source.clip is not None:
            found.setdefault(source.clip, Clip(id=source.clip, seconds=source.seconds, speaker=task.speaker))
    return list(found.values())
