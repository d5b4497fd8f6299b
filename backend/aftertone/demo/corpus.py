"""The audio of a demo, and the labels that an oracle knows."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aftertone.demo.errors import DemoError
from aftertone.demo.project import served_at
from aftertone_model.data.manifest import Row, read_manifest

SEED = 0  # of the sample that LIMIT draws


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Audio files below one folder."""

    title: str  # for people
    name: str  # the same for the same AUDIO, another for another; a folder's name
    root: Path  # every file lies below it
    rows: tuple[Row, ...]  # one per file

    @property
    def labels(self) -> list[str]:
        """The emotions that occur, by name."""
        return sorted({row.emotion for row in self.rows if row.emotion})

    def link(self, documents: Path) -> Path:
        """Make the audio appear as a subfolder of what Label Studio may serve, without a copy; returns that."""
        folder = documents / self.name
        if not folder.is_symlink():
            folder.symlink_to(self.root, target_is_directory=True)
        return folder

    def tasks(self, documents: Path) -> list[dict[str, str]]:
        """What Label Studio is told: where each clip is served, and who speaks. Never the emotion."""
        speakers = ({"speaker": row.speaker} if row.speaker else {} for row in self.rows)
        return [{"audio": self._address(row, documents), **who} for row, who in zip(self.rows, speakers, strict=True)]

    def answers(self, documents: Path) -> dict[str, str]:
        """What an oracle says about each clip, by the address it is served at."""
        return {self._address(row, documents): row.emotion for row in self.rows if row.emotion}

    def _address(self, row: Row, documents: Path) -> str:
        return served_at(documents, documents / self.name / row.path.relative_to(self.root))


def read_corpus(audio: Path, *, limit: int | None = None, labelled: bool = False) -> Corpus:
    """Read a folder of audio or a manifest.csv.

    Args:
        limit: clips that are drawn at random, always the same ones; a larger limit adds to those of a smaller one.
        labelled: leave out clips without an emotion.

    Raises:
        DemoError: no clip is left.
        ManifestError: `audio` can't be read.
    """
    unique = {row.path.resolve(): row for row in read_manifest(audio)}
    rows = [Row(path=path, emotion=row.emotion, speaker=row.speaker) for path, row in unique.items()]
    if labelled:
        rows = [row for row in rows if row.emotion]
        if not rows:
            raise DemoError(
                f"ORACLE=1 labels from the column `emotion`, which {audio} hasn't filled. "
                "Give AUDIO=<a manifest.csv with emotions>, or leave ORACLE out and label yourself."
            )
    drawn = np.random.default_rng(SEED).permutation(len(rows))[:limit]
    source = audio.resolve()
    folder = source if source.is_dir() else source.parent
    digest = hashlib.sha256(os.fsencode(source)).hexdigest()[:6]
    return Corpus(
        title=f"Emotion in {folder.name}",
        name=f"{folder.name}-{digest}",
        root=Path(os.path.commonpath([row.path.parent for row in rows])),
        rows=tuple(rows[index] for index in sorted(drawn)),
    )
