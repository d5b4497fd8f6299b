"""`aftertone export`: a round's model for transformers or as ONNX, with a card that says how good it is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aftertone.errors import StoreError
from aftertone.options import known_settings
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore
from aftertone.store.records import HeldOut, Sources, Tasks
from aftertone.store.rounds import Round
from aftertone_model.classification.clip_head import FEWEST
from aftertone_model.data.clips import Clip, file_of
from aftertone_model.data.files import whole_folder
from aftertone_model.evaluation.test_split import speaker_disjoint
from aftertone_model.export.folder import export
from aftertone_model.export.model_card import Provenance
from aftertone_model.methods import METHODS

EXAMPLES = 8  # clips that an ONNX graph is compared with the model on


def export_model(
    store: ProjectStore,
    settings: Settings,
    folder: Path,
    number: int | None = None,
    format: Literal["transformers", "onnx"] = "transformers",
) -> Round:
    """Write a round's model into `folder`, whole or not at all.

    Args:
        folder: where to; must not exist yet, so that nothing of yours is overwritten.
        number: of the round; the newest with a model by default.

    Raises:
        StoreError: `folder` exists, or there is no such model.
        ExportError: the format can't hold this model, or needs what isn't installed.
    """
    if folder.exists() or folder.is_symlink():
        raise StoreError(f"{folder} exists already. Name another folder with --out, or remove it.")
    with store.round_model(number) as (number, weights):
        method = METHODS[store.round(number).method]
        model = method.load(weights)
    record, adaptation, clips = store.round(number), store.adaptation(), _clips(store)
    held_out = store.get(HeldOut).clips
    with whole_folder(folder) as scratch:
        provenance = Provenance(
            name=f"Speech emotion, Label Studio project {store.folder.name}, round {record.number}",
            backbone=(record.training.backbone if record.training else "") or settings.backbone,
            adapted=adaptation is not None and adaptation.kept,
            clips=len(clips),
            hours=sum(clip.seconds for clip in clips) / 3600,
            labels=dict(zip(record.classes, record.training.per_class if record.training else (), strict=True)),
            strategy=record.strategy,
            question=record.question,
            segments=any(file_of(clip) != clip for clip in record.labelled),
            metrics=record.metrics,
            plain_metrics=record.plain_metrics,
            channel=known_settings(settings, store).channel,
            clips_per_voice=_clips_per_voice(clips, held_out),
            speaker_disjoint=speaker_disjoint(clips, held_out),
            method=method.follows,
        )
        exported = method.exported(model)
        if format == "onnx":
            from aftertone_model.export.onnx_folder import export_onnx

            export_onnx(exported, scratch, provenance, _examples(store, clips))
        else:
            export(exported, scratch, provenance)
    return record


def _examples(store: ProjectStore, clips: Sequence[Clip]) -> list[NDArray[np.float32]]:
    """Samples of clips from the shortest to the longest."""
    by_length = sorted(clips, key=lambda clip: (clip.seconds, clip.id))
    rows = sorted({round(row) for row in np.linspace(0, len(clips) - 1, EXAMPLES)}) if clips else []
    return [store.pool.waveform(by_length[row].id) for row in rows]


def _clips(store: ProjectStore) -> list[Clip]:
    """The pool as it was last read, with speakers."""
    sources = store.get(Sources).sources
    found: dict[str, Clip] = {}
    for task in store.get(Tasks).cache.tasks:
        source = sources.get(task.source)
        if source is not None and source.clip is not None:
            found.setdefault(source.clip, Clip(id=source.clip, seconds=source.seconds, speaker=task.speaker))
    return list(found.values())


def _clips_per_voice(clips: Sequence[Clip], held_out: Mapping[str, bool]) -> int | None:
    """Median number of clips of the test set's speakers, of those who are known by enough of them; None without one."""
    spoken = Counter(clip.speaker for clip in clips if clip.speaker)
    tested = {clip.speaker for clip in clips if clip.speaker and held_out.get(clip.id)}
    known = [spoken[speaker] for speaker in tested if spoken[speaker] >= FEWEST]
    return round(median(known)) if known else None
