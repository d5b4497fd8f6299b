"""A labelled corpus, and its folds: whole speakers are left out, or whole corpora."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aftertone_model.data.manifest import ManifestError, Row, faulty_lines, read_manifest


@dataclass(frozen=True, kw_only=True)
class LabelledCorpus:
    """Clips with an emotion and a speaker each."""

    rows: tuple[Row, ...]
    classes: tuple[str, ...]  # in alphabetical order
    leave_out: str = ""  # a column of the manifest: each fold is one of its values; otherwise groups of speakers

    @property
    def speakers(self) -> list[str]:
        """Of each row."""
        return [row.speaker or "" for row in self.rows]

    @property
    def labels(self) -> NDArray[np.intp]:
        """(N,) class of each row."""
        number = {name: row for row, name in enumerate(self.classes)}
        return np.array([number[row.emotion or ""] for row in self.rows], np.intp)

    @property
    def left_out(self) -> list[str]:
        """The values of the column `leave_out`, one per fold; [] where folds are groups of speakers."""
        return sorted({row.attributes[self.leave_out] for row in self.rows}) if self.leave_out else []

    def folds(self, count: int) -> list[NDArray[np.intp]]:
        """Rows of each test fold.

        Groups of speakers are disjoint, and each has about the corpus' share of every class.

        Args:
            count: of groups of speakers; a column to leave out has as many folds as values.

        Raises:
            ManifestError: fewer speakers than folds.
        """
        if self.leave_out:
            values = np.array([row.attributes[self.leave_out] for row in self.rows])
            return [np.flatnonzero(values == value) for value in self.left_out]
        from sklearn.model_selection import StratifiedGroupKFold

        speakers = self.speakers
        if (known := len(set(speakers))) < count:
            raise ManifestError(f"The corpus has {known} speakers, too few for {count} folds. Ask for fewer folds.")
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=0)
        emotions = [row.emotion for row in self.rows]
        return [test for _, test in splitter.split(emotions, emotions, speakers)]


def read_labelled(
    manifest: Path, classes: Sequence[str] = (), leave_out: str = "", columns: Sequence[str] = ()
) -> LabelledCorpus:
    """Read a manifest.csv with the columns path, emotion and speaker, and check every row.

    Args:
        classes: the emotions that may occur; all that do by default.
        leave_out: a column whose values are left out in turn, such as `corpus`.
        columns: to be kept as attributes where a row has them; the manifest must have them.

    Raises:
        ManifestError: rows without a file, emotion or speaker, or with another emotion; the message names their lines.
            Or there is no column to leave out, or it is one that tells nothing to leave out by.
    """
    if leave_out in ("emotion", "path"):
        raise ManifestError(
            f"--leave-out {leave_out} leaves nothing to learn from or to test on. Name another, such as corpus."
        )
    if manifest.is_dir():
        raise ManifestError(
            f"{manifest} is a folder, which tells neither emotions nor speakers. Name a manifest.csv with the columns "
            "path, emotion and speaker."
        )
    rows = read_manifest(manifest, [*columns, leave_out] if leave_out else columns)
    faults = []
    for row in rows:
        where = f"line {row.line} ({row.path.name})" if row.line else str(row.path)
        if not row.emotion:
            faults.append(f"{where} has no emotion")
        elif classes and row.emotion not in classes:
            faults.append(f"{where} has the emotion {row.emotion}, which is none of {', '.join(classes)}")
        if not row.speaker:
            faults.append(f"{where} has no speaker, whom folds need")
        if leave_out and leave_out not in row.attributes:
            faults.append(f"{where} has no {leave_out}, which is to be left out")
    if faults:
        raise faulty_lines(manifest, faults)
    found = sorted(set(classes) or {row.emotion for row in rows if row.emotion})
    if len(found) < 2:
        raise ManifestError(f"{manifest} has one emotion only, {found[0]}: there is nothing to tell apart.")
    corpus = LabelledCorpus(rows=tuple(rows), classes=tuple(found), leave_out=leave_out)
    if leave_out and len(corpus.left_out) < 2:
        raise ManifestError(f"{manifest} has one {leave_out} only: nothing is left to train on.")
    return corpus
