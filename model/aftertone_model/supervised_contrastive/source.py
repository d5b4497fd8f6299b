"""The source: corpora with labels that stage 1 learns from, in a pool of their own."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aftertone_model.data.clips import Clip
from aftertone_model.data.corpus import decode_corpus
from aftertone_model.data.manifest import read_manifest
from aftertone_model.data.pool import Pool
from aftertone_model.progress import Progress, silent


@dataclass(frozen=True, kw_only=True)
class SourceClip:
    """A labelled clip of a corpus."""

    clip: Clip
    emotion: str
    corpus: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """What stage 1 learns from."""

    name: str  # tells one source from another
    pool: Pool  # holds its clips
    clips: tuple[SourceClip, ...]

    def without(self, tested: Collection[Clip]) -> tuple[SourceClip, ...]:
        """Its clips that are none of these, nor by a speaker of theirs.

        Speakers are the same where their names are, and where a clip of theirs is the same audio.
        """
        heard = {clip.id for clip in tested}
        names = {clip.speaker for clip in tested if clip.speaker}
        same = {(one.corpus, one.clip.speaker) for one in self.clips if one.clip.id in heard and one.clip.speaker}
        return tuple(
            one
            for one in self.clips
            if one.clip.id not in heard and one.clip.speaker not in names and (one.corpus, one.clip.speaker) not in same
        )


def decode_manifests(pool: Pool, manifests: Sequence[Path], progress: Progress = silent) -> list[SourceClip]:
    """Decode the corpora of manifests into a pool.

    Rows without an emotion are left out, and files that can't be used, and the second of two that are the same audio.
    A row without a corpus belongs to one that is named after its manifest's file.

    Raises:
        ManifestError: a manifest can't be read.
    """
    rows = [
        (row, row.attributes.get("corpus", manifest.stem))
        for manifest in manifests
        for row in read_manifest(manifest)
        if row.emotion
    ]
    decoded = decode_corpus(pool, [row.path for row, _ in rows], progress=progress)
    found: dict[str, SourceClip] = {}
    for (row, corpus), ids in zip(rows, decoded.clips, strict=True):
        for id in ids:
            clip = replace(pool.clip(id), speaker=row.speaker, attributes=row.attributes)
            found.setdefault(id, SourceClip(clip=clip, emotion=row.emotion or "", corpus=corpus))
    return list(found.values())


def copy_clips(clips: Sequence[Clip], emotions: Sequence[str], corpus: str, pool: Pool, to: Pool) -> list[SourceClip]:
    """Clips of another pool as a corpus of the source's.

    Raises:
        DamagedFileError: a clip's samples can't be read.
    """
    found: list[SourceClip] = []
    for clip, emotion in zip(clips, emotions, strict=True):
        if clip.file not in to:
            to.add(pool.waveform(clip.file))
        found.append(SourceClip(clip=clip, emotion=emotion, corpus=corpus))
    return found
