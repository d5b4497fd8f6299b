"""A project's rounds, as folders: each is whole or absent, and never changes once it is there."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aftertone.errors import DamagedRecordError, StoreError
from aftertone.store.folder import read_record, write_record
from aftertone.store.requests import RequestFolder
from aftertone.store.round_scores import FILE as SCORES
from aftertone.store.round_scores import Score, read_scores, write_scores
from aftertone.store.rounds import Draft, Round
from aftertone_model.classification.pool_map import Projection
from aftertone_model.data.files import put_in_place, remove, whole_file, whole_folder

EMBEDDINGS, PROJECTION = "embeddings.npy", "projection.npy"
KEPT_MODELS = 3  # newest rounds that keep their weights; the others can be trained again from round.json


class RoundFolder(RequestFolder):
    """The part of a project's files that its rounds are: complete ones in rounds/, the one being made in next/."""

    def round_numbers(self) -> list[int]:
        """Numbers of the complete rounds, ascending."""
        return numbered(self.folder / "rounds", digits=3)

    def standing_numbers(self) -> list[int]:
        """The same without those that are rolled back."""
        rolled_back = self.steering.rolled_back
        return [number for number in self.round_numbers() if number not in rolled_back]

    def rounds(self) -> list[Round]:
        """All complete rounds, oldest first."""
        return [self.round(number) for number in self.round_numbers()]

    def round(self, number: int) -> Round:
        """A complete round.

        Raises:
            StoreError: there is no such round.
            DamagedRecordError: its record can't be read.
        """
        file = self._round_folder(number) / Round.FILE
        try:
            found = _read_round(file, file.stat().st_mtime_ns)
            if found.number != number:
                raise DamagedRecordError(file, Round.AFTER_DAMAGE, set_aside=False)
            return found
        except FileNotFoundError:
            if file.parent.is_dir():
                raise DamagedRecordError(file, Round.AFTER_DAMAGE, set_aside=False) from None
            complete = self.round_numbers() or "none"
            raise StoreError(f"There is no round {number} in {self.folder}; complete rounds: {complete}.") from None

    def scores(self, number: int) -> tuple[tuple[str, ...], dict[int, Score]]:
        """The classes and, by task, the scores of a round; both empty where its table was damaged."""
        path = self._round_folder(number) / SCORES
        after = f"The model's answers to Label Studio are empty for round {number}; the next round has its own."
        return self.mended(path, lambda: read_scores(path, path.stat().st_mtime_ns), after) or ((), {})

    def scores_file(self, number: int) -> Path:
        """The table that `scores` reads, for who needs a part of it in another form."""
        return self._round_folder(number) / SCORES

    def embeddings_file(self, number: int) -> Path:
        """Where they lie."""
        return self._round_folder(number) / EMBEDDINGS

    def embeddings(self, number: int) -> NDArray[np.float16] | None:
        """What `complete_round` was given, mapped from disk; None where the round has none, or they are damaged."""
        try:
            found = np.load(self.embeddings_file(number), mmap_mode="r")
        except Exception:  # numpy's reader raises whatever a garbled head makes Python's own parser raise
            return None
        whole = isinstance(found, np.ndarray) and found.ndim == 2 and found.dtype.kind == "f" and found.shape[1] > 1
        return found if whole else None

    def projection(self, number: int) -> Projection | None:
        """What further clips get numbers like those of `embeddings` by; None where an earlier version wrote the round,
        or where it is damaged."""
        try:
            found = np.load(self._round_folder(number) / PROJECTION)
        except Exception:  # as for `embeddings`
            return None
        whole = isinstance(found, np.ndarray) and found.ndim == 2 and found.dtype == np.float32 and len(found) > 1
        return Projection(mean=found[0], components=found[1:]) if whole else None

    def answers(self, number: int) -> dict[int, tuple[str, ...]]:
        """The model's answer for every task that a round scored; {} for a round without a model."""
        schema, scores = self.round(number).label_schema, self.scores(number)[1]
        return {task: schema.answer(score.predictions) for task, score in scores.items() if score.predictions}

    @contextmanager
    def round_model(self, number: int | None = None) -> Iterator[tuple[int, Path]]:
        """A round and the folder to load its weights from: the given one, or the newest standing one that has some.

        The folder is set aside where loading it fails.

        Raises:
            StoreError: no round with weights exists.
        """
        numbers = reversed(self.standing_numbers()) if number is None else [number]
        for candidate in numbers:
            if (folder := self._round_folder(candidate) / "model").is_dir():
                with self.loading(folder, "Weights of other rounds and of the next one are not affected."):
                    yield candidate, folder
                return
        which = f"Round {number} has no model" if number is not None else "No round has a model yet"
        raise StoreError(f"{which} in {self.folder}. A model exists once the seed set is labelled and trained on.")

    def has_model(self) -> bool:
        """Whether a round that isn't rolled back keeps its weights."""
        return any(number in self.with_model() for number in self.standing_numbers())

    def with_model(self) -> list[int]:
        """Numbers of the rounds that keep their weights, ascending."""
        return [number for number in self.round_numbers() if (self._round_folder(number) / "model").is_dir()]

    def save_seed(self, record: Round, scores: Sequence[Score]) -> None:
        """Write a round without a model."""
        with whole_folder(self._round_folder(record.number), guard=self.guard) as folder:
            write_record(folder, record)
            write_scores(folder, scores, ())

    def save_draft(self, draft: Draft, save_model: Callable[[Path], object]) -> None:
        """Keep what was trained for the next round; `save_model` writes the weights into the folder it is given."""
        with whole_folder(self._next, guard=self.guard) as folder:
            save_model(folder / "model")
            write_record(folder, draft)

    @contextmanager
    def draft(self) -> Iterator[tuple[Draft, Path]]:
        """What was trained for the next round and the folder to load its weights from; set aside where that fails."""
        with self.loading(self._next, Draft.AFTER_DAMAGE):
            yield read_record(Draft, self._next / Draft.FILE), self._next / "model"

    def complete_round(
        self,
        record: Round,
        scores: Sequence[Score],
        embeddings: NDArray[np.float16] | None = None,
        projection: Projection | None = None,
    ) -> None:
        """The model in `next/` has ranked the pool: from now on that is a round. Old rounds' weights go.

        Args:
            embeddings: (N, D) of every scored clip, rows by id, ascending; for the map of the pool and for search.
            projection: that they came by.
        """
        write_record(self._next, record, self.guard)
        write_scores(self._next, scores, record.classes, self.guard)
        if embeddings is not None:
            self._save_array(EMBEDDINGS, embeddings)
        if projection is not None:
            self._save_array(PROJECTION, np.concatenate([projection.mean[None], projection.components]))
        folder = self._round_folder(record.number)
        put_in_place(self._next, folder, guard=self.guard)
        with self.guard():
            remove(folder / Draft.FILE)
            rolled_back = self.steering.rolled_back
            for number in sorted(self.with_model(), key=lambda n: (n not in rolled_back, n))[:-KEPT_MODELS]:
                remove(self._round_folder(number) / "model")

    def _save_array(self, name: str, array: NDArray[np.floating]) -> None:
        """Into the round that is being made."""
        with whole_file(self._next / name, guard=self.guard) as scratch, scratch.open("wb") as file:
            np.save(file, array)

    @property
    def _next(self) -> Path:
        return self.folder / "next"

    def _round_folder(self, number: int) -> Path:
        return self.folder / "rounds" / f"{number:03d}"


def numbered(folder: Path, *, digits: int = 1) -> list[int]:
    """Numbers of the folders that bear one as their name, ascending; whatever else lies there is ignored."""
    names = [path.name for path in folder.glob("[0-9]*") if path.is_dir()]
    return sorted(int(name) for name in names if name.isdecimal() and name == f"{int(name):0{digits}d}")


@lru_cache(maxsize=1024)
def _read_round(file: Path, _written: int) -> Round:
    """A round's record; read once, since it never changes. When it was written tells it from another store's."""
    return read_record(Round, file)
