"""A project's rounds as they lie on disk, read without mending anything, and what must always hold for them."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from aftertone.errors import DamagedRecordError
from aftertone.store.folder import read_record
from aftertone.store.records import HeldOut
from aftertone.store.round_scores import FILE as SCORES
from aftertone.store.round_scores import read_scores
from aftertone.store.rounds import Extension, Round


@dataclass
class History:
    """What was ever seen of one project."""

    project: int
    folder: Path
    rounds: dict[int, Round] = field(default_factory=dict)  # by number
    held_out: dict[str, bool] = field(default_factory=dict)  # clip -> whether it is held out for testing
    current: int | None = None  # the round that annotators are served
    extensions: dict[str, Extension] = field(default_factory=dict)  # of rounds' queues, by version
    _digests: dict[int, bytes] = field(default_factory=dict)
    _seen: dict[int, int] = field(default_factory=dict)  # number -> inode of its record

    @property
    def newest(self) -> Round | None:
        """The round with the highest number."""
        return self.rounds[max(self.rounds)] if self.rounds else None

    @property
    def served(self) -> Round | Extension | None:
        """What annotators should be served: the newest round's queue, extended if it was."""
        of_newest = [one for one in self.extensions.values() if self.newest and one.round == self.newest.version]
        return max(of_newest, key=lambda one: one.part, default=self.newest)

    def published(self, version: str) -> tuple[int, ...] | None:
        """The tasks of the queue that Label Studio knows under this name, first to be asked first."""
        queues = [*self.rounds.values(), *self.extensions.values()]
        return next((queue.published for queue in queues if queue.version == version), None)

    def look(self) -> Iterator[str]:
        """Read what is new. Yields a sentence for everything that is wrong."""
        folders = {int(path.name): path for path in (self.folder / "rounds").glob("[0-9]*") if path.name.isdigit()}
        for number, folder in sorted(folders.items()):
            yield from self._look_at(number, folder)
        if lost := self.rounds.keys() - folders.keys():
            yield f"rounds {sorted(lost)} have vanished"
        if folders and sorted(folders) != list(range(min(folders), max(folders) + 1)):
            yield f"the rounds have a gap: {sorted(folders)}"
        with suppress(FileNotFoundError, DamagedRecordError):
            extension = read_record(Extension, self.folder / Extension.FILE)
            self.extensions[extension.version] = extension
        yield from self._look_at_split()
        yield from self._look_at_current()

    def _look_at(self, number: int, folder: Path) -> Iterator[str]:
        file = folder / Round.FILE
        try:
            if self._seen.get(number) == (inode := file.stat().st_ino):
                return
            record = read_record(Round, file)
            classes, scores = read_scores(folder / SCORES, inode)
            digest = hashlib.sha256(file.read_bytes() + (folder / SCORES).read_bytes()).digest()
        except (OSError, DamagedRecordError, ValueError) as error:
            yield f"round {number} isn't whole: {type(error).__name__}: {error}"
            return
        self._seen[number] = inode
        if self._digests.setdefault(number, digest) != digest:
            yield f"round {number} was replaced by another one"
        yield from self._check(record, number)
        if record.kind == "trained" and (classes != record.classes or not scores):
            yield f"round {number}'s scores are those of other classes, or none"
        self.rounds[number] = record

    def _check(self, record: Round, number: int) -> Iterator[str]:
        if record.number != number:
            yield f"round {number} says that it is round {record.number}"
        if both := record.labelled.keys() & record.tested.keys():
            yield f"round {number} trained on {len(both)} clips that it was tested on"
        others = [one for one in self.rounds.values() if one.number != number]
        if any(one.version == record.version for one in others):
            yield f"two rounds have the version {record.version}"
        for one in others:
            if one.number < number and one.labels > record.labels:
                yield f"round {number} knows {record.labels} labels, round {one.number} knew {one.labels}"
        tested = {clip for one in (record, *others) for clip in one.tested} | self._tested_clips()
        for one in (record, *others):
            if trained := one.labelled.keys() & tested:
                yield f"round {one.number} was trained on {len(trained)} clips of the test split"

    def _tested_clips(self) -> set[str]:
        return {clip for clip, held_out in self.held_out.items() if held_out}

    def _look_at_split(self) -> Iterator[str]:
        try:
            found = read_record(HeldOut, self.folder / HeldOut.FILE).clips
        except FileNotFoundError:
            if self.held_out:
                yield "the test split has vanished"
            return
        if changed := [clip for clip, held_out in self.held_out.items() if found.get(clip) != held_out]:
            yield f"{len(changed)} clips have left the test split or training"
        self.held_out = {**self.held_out, **found}

    def _look_at_current(self) -> Iterator[str]:
        try:
            current = int((self.folder / "current").read_text())
        except FileNotFoundError:
            if self.current is not None:
                yield "the number of the served round has vanished"
            return
        if self.current is not None and current < self.current:
            yield f"annotators are served round {current} after round {self.current}"
        self.current = current
