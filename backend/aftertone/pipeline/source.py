"""Corpora with labels for methods that learn from them first: manifests, and earlier projects of the same MODEL_DIR."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aftertone.errors import StoreError
from aftertone.settings import Settings
from aftertone.source_names import parse_source
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Sources, Tasks
from aftertone_model.data.clips import Clip, file_of
from aftertone_model.data.manifest import read_manifest
from aftertone_model.errors import AftertoneError
from aftertone_model.progress import Progress
from aftertone_model.supervised_contrastive.sampler import PairSampler

if TYPE_CHECKING:
    from aftertone_model.supervised_contrastive.source import Source

SMALLEST_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A clip of an earlier project, and what its annotators said."""

    clip: Clip
    emotion: str


def source_lacks(settings: Settings) -> str:
    """Why SOURCE can't be learned from, and what to change; '' where it can. No audio is looked at."""
    names = parse_source(settings.source)
    emotions: list[str] = []
    corpora: list[str] = []
    try:
        for path in names.paths(settings.model_dir):
            rows = [row for row in read_manifest(path) if row.emotion]
            emotions += [row.emotion or "" for row in rows]
            corpora += [row.attributes.get("corpus", path.stem) for row in rows]
        for project in names.projects:
            found = list(labelled_clips(Store(settings.model_dir).project(project)))
            emotions += [one.emotion for one in found]
            corpora += [f"project {project}"] * len(found)
        PairSampler(emotions, corpora, SMALLEST_BATCH, 0)
    except AftertoneError as error:
        return f"{error} (SOURCE is {settings.source}.)"
    return ""


def read_source(settings: Settings, store: ProjectStore, progress: Progress) -> "Source":
    """All of SOURCE, decoded into a pool of its own.

    Args:
        store: of the project that learns from it.

    Raises:
        ManifestError: a manifest can't be read.
        StoreError: there is no such project, or it has no labels.
    """
    from aftertone_model.supervised_contrastive.source import Source, copy_clips, decode_manifests

    names, pool = parse_source(settings.source), store.source_pool
    pool.folder.mkdir(parents=True, exist_ok=True)
    clips = decode_manifests(pool, names.paths(settings.model_dir), progress)
    for project in names.projects:
        other = Store(settings.model_dir).project(project)
        found = list(labelled_clips(other))
        emotions = [one.emotion for one in found]
        clips += copy_clips([one.clip for one in found], emotions, f"project {project}", other.pool, pool)
    return Source(name=settings.source, pool=pool, clips=tuple(clips))


def labelled_clips(store: ProjectStore) -> Iterator[Labelled]:
    """What an earlier project's newest round knew: its clips on whose single answer annotators agree.

    Raises:
        StoreError: nothing is kept of it, no round has labels yet, or it doesn't ask for one of several classes.
    """
    number = store.folder.name
    standing = [store.round(round_number) for round_number in store.standing_numbers()] if store.folder.is_dir() else []
    if not standing or not standing[-1].labels:
        raise StoreError(f"Project {number} has no labels here that could be learned from. Label some of it first.")
    record = standing[-1]
    schema = record.label_schema
    if not schema.exclusive:
        raise StoreError(f"Project {number} asks for {schema.kind} answers, and a source needs one class per clip.")
    sources, speakers = store.get(Sources).sources, dict[str, str]()
    seconds = {source.clip: source.seconds for source in sources.values() if source.clip is not None}
    for task in store.get(Tasks).cache.tasks:
        source = sources.get(task.source)
        if task.speaker and source is not None and source.clip is not None:
            speakers.setdefault(source.clip, task.speaker)
    for clip, label in sorted({**record.labelled, **record.tested}.items()):
        file = file_of(clip)
        if file in seconds and schema.clear(np.array([label]))[0]:
            whole = Clip(id=file, seconds=seconds[file], speaker=speakers.get(file))
            yield Labelled(clip=whole.at(clip), emotion=schema.classes[int(np.argmax(label))])
