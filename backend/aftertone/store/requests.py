"""What people and Label Studio ask of a project's worker: files that stay until it is done, or asked otherwise.

Whoever asks, such as the server or a command, holds no lease. So the worker never writes `steering.json`, and of the
marker files it only takes one away whose request it has done.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from filelock import FileLock
from pydantic import field_validator

from aftertone.store.clock import Moment
from aftertone.store.folder import RecordFolder
from aftertone.store.records import Problem, Record
from aftertone_model.data.files import remove, write_text

MOST_ASKED = 200  # clips that people may have asked for next
ANYWAY = "anyway"  # what a request to train says where it is meant also without any new label


class Steering(Record):
    """How people want a project to go on; holds until they want something else."""

    FILE = "steering.json"
    PRIVATE = True  # an address to notify may hold a password
    AFTER_DAMAGE = (
        "If the project was paused or rolled back, it isn't any more, and its options are those of its extra params: "
        "say it again (`aftertone pause`, `rollback`, `set`)."
    )

    paused: Moment | None = None  # since when nothing is done; None while it goes on
    rolled_back: tuple[int, ...] = ()  # rounds that are kept and count no more
    chosen: int | None = None  # the round that the last rollback went to
    options: Mapping[str, Any] = {}  # by `aftertone set`; they win over the connection's extra params

    @field_validator("rolled_back")
    @classmethod
    def _ascending(cls, numbers: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(numbers)))


class Asked(Record):
    """Clips that people want to be asked for next; those that have an answer count no more."""

    FILE = "asked-next.json"
    AFTER_DAMAGE = "Clips that were asked for by hand and aren't served yet are asked for again on the page."

    clips: tuple[str, ...] = ()  # the latest first


class RequestFolder(RecordFolder):
    """A project's records, and what is asked of its worker."""

    @property
    def steering(self) -> Steering:
        """How people want the project to go on."""
        return self.get(Steering)

    def steer(self, change: Callable[[Steering], Steering]) -> Steering:
        """Change that; whoever else does so at the same time waits. What failed before is tried again at once."""
        with FileLock(self.folder / "steering.lock", timeout=5, poll_interval=0.01):
            before = self.steering
            after = change(before)
            if after != before:
                self.save(after)
        self.remove(Problem)
        return after

    def ask_for(self, clips: Sequence[str]) -> tuple[str, ...]:
        """Have annotators asked for these next. Returns all that are asked for, the latest first."""
        with FileLock(self.folder / "steering.lock", timeout=5, poll_interval=0.01):
            asked = tuple(dict.fromkeys([*clips, *self.get(Asked).clips]))[:MOST_ASKED]
            self.save(Asked(clips=asked))
        return asked

    @property
    def stopped(self) -> bool:
        """Whether the step under way is to end now."""
        return self.steering.paused is not None or self._asked("cancel")

    def request_setup(self) -> None:
        """Have Label Studio asked how it connects the project now."""
        if not self.setup_requested:
            write_text(self.folder / "setup-requested", "")

    @property
    def setup_requested(self) -> bool:
        """Whether that was requested since it was last begun."""
        return (self.folder / "setup-requested").exists()

    @contextmanager
    def setup_request(self) -> Iterator[bool]:
        """Whether that is requested. Done with when the block ends well; a request made meanwhile stays."""
        with self._request("setup") as requested:
            yield requested

    def request_training(self, *, anyway: bool = False) -> None:
        """Have the labels so far trained on.

        Args:
            anyway: also where none of them is new.
        """
        write_text(self.folder / "train-requested", ANYWAY if anyway or self.training_anyway else "", guard=self.guard)
        self.remove(Problem)

    @property
    def train_requested(self) -> bool:
        """Whether somebody pressed Start Training since the last training that came to its end began."""
        return self._asked("train")

    @property
    def training_anyway(self) -> bool:
        """Whether somebody wants a training also where no label is new."""
        files = (self.folder / "train-requested", self.folder / "train-taken")
        return any(file.is_file() and file.read_text(errors="replace") == ANYWAY for file in files)

    @contextmanager
    def training_request(self) -> Iterator[None]:
        """Around a training, which is what was requested if it ends well; a request made meanwhile stays."""
        with self._request("train"):
            yield

    def request_cancel(self) -> None:
        """Have the step under way ended and what it has begun thrown away."""
        write_text(self.folder / "cancel-requested", "")

    @contextmanager
    def cancel_request(self) -> Iterator[bool]:
        """Whether that is requested; as for `setup_request`."""
        with self._request("cancel") as requested:
            yield requested

    def forget_training_request(self) -> None:
        """Nobody wants a training any more."""
        with self.guard():
            for file in ("train-requested", "train-taken"):
                remove(self.folder / file)

    def _asked(self, name: str) -> bool:
        return any((self.folder / f"{name}-{state}").exists() for state in ("requested", "taken"))

    @contextmanager
    def _request(self, name: str) -> Iterator[bool]:
        requested, taken = self.folder / f"{name}-requested", self.folder / f"{name}-taken"
        if requested.exists():
            with self.guard():
                requested.replace(taken)
        yield taken.exists()
        if taken.exists():
            with self.guard():
                remove(taken)
