"""Everything Aftertone keeps about a project, as files under MODEL_DIR that a person can read.

projects/<id>/connection.json   what Label Studio said when it connected
projects/<id>/tasks.json        tasks and answers as last read
projects/<id>/sources.json      what became of each audio address
projects/<id>/exam.json         which clips are never trained on
projects/<id>/pool/             decoded clips and their frozen CNN features
projects/<id>/adapted/          the TAPT backbone and its loss curve
projects/<id>/next/             the round being made: a trained model that hasn't ranked the pool yet
projects/<id>/rounds/007/       round.json, scores.csv, model/
projects/<id>/current           number of the round that annotators are served
projects/<id>/progress.json     what is being done now, and how far it is
projects/<id>/notes.json        what a person should know or do
projects/<id>/problem.json      what went wrong last, and what a person must do
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aftertone.errors import StoreError
from aftertone.pipeline.dataset import Source
from aftertone.store.rounds import Round
from aftertone_model.data.files import read_json, write_json, write_text

if TYPE_CHECKING:
    from aftertone_model.data.pool import Pool

KEPT_MODELS = 3  # newest rounds that keep their weights; the others can be trained again from round.json


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why a project doesn't move on."""

    message: str  # what happened and what to do
    step: str  # name of the step that failed
    times: int  # failures in a row
    at: float  # epoch seconds of the last one

    @property
    def retry_at(self) -> float:
        """Epoch seconds before which the step isn't tried again: a minute after the first failure, doubling to 1 h."""
        return self.at + min(60.0 * 2 ** (self.times - 1), 3600.0)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """What Label Studio said at /setup."""

    project: int
    label_config: str
    extra_params: Mapping[str, Any]  # a project's options


class ProjectStore:
    """One project's files. Every write is whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tasks_file = folder / "tasks.json"
        self.adapted = folder / "adapted"
        self.next = folder / "next"

    @property
    def pool(self) -> "Pool":
        """The project's decoded clips."""
        from aftertone_model.data.pool import Pool  # brings torch, which the server never needs

        return Pool(self.folder / "pool")

    # -- connection ------------------------------------------------------------------------------------------------

    def connect(self, connection: Connection) -> None:
        """Remember a project; writes only what is new, since Label Studio says the same thousands of times."""
        if self.connection() != connection:
            write_json(self.folder / "connection.json", asdict(connection))

    def connection(self) -> Connection | None:
        """What Label Studio said last; None before it connected."""
        raw = read_json(self.folder / "connection.json")
        return Connection(**raw) if raw else None

    # -- sources and the exam --------------------------------------------------------------------------------------

    def sources(self) -> dict[str, Source]:
        """What became of each audio address."""
        return {url: Source(**raw) for url, raw in read_json(self.folder / "sources.json", default={}).items()}

    def save_sources(self, sources: Mapping[str, Source]) -> None:
        """Replace what is known about audio addresses, which may be signed: only the owner may read the file."""
        known = {url: asdict(source) for url, source in sources.items()}
        write_json(self.folder / "sources.json", known, private=True)

    def exam(self) -> dict[str, bool]:
        """For each clip that was ever assigned: whether it belongs to the exam. Never changes once written."""
        return read_json(self.folder / "exam.json", default={})

    def save_exam(self, assignment: Mapping[str, bool]) -> None:
        """Replace the exam's assignment by one that extends it."""
        write_json(self.folder / "exam.json", dict(assignment))

    def forget_adaptation(self) -> None:
        """Let the next `advance` adapt the backbone again.

        Raises:
            StoreError: it isn't adapted yet, so that nothing is to be done again.
        """
        if not self.adapted.is_dir():
            raise StoreError(
                f"The backbone isn't adapted yet in {self.folder}; it will be once the import has settled."
            )
        shutil.rmtree(self.adapted)

    # -- rounds ----------------------------------------------------------------------------------------------------

    def round_numbers(self) -> list[int]:
        """Numbers of the complete rounds, ascending."""
        return sorted(int(path.name) for path in (self.folder / "rounds").glob("[0-9]*") if path.name.isdigit())

    def round_folder(self, number: int) -> Path:
        """Where a round lies."""
        return self.folder / "rounds" / f"{number:03d}"

    def round(self, number: int) -> Round:
        """A complete round.

        Raises:
            StoreError: there is no such round.
        """
        file = self.round_folder(number) / "round.json"
        try:
            return _read_round(file, file.stat().st_mtime_ns)
        except FileNotFoundError:
            complete = self.round_numbers() or "none"
            raise StoreError(f"There is no round {number} in {self.folder}; complete rounds: {complete}.") from None

    def last_round(self) -> Round | None:
        """The newest complete round."""
        numbers = self.round_numbers()
        return self.round(numbers[-1]) if numbers else None

    def model_folder(self, number: int | None = None) -> Path:
        """Weights of a round: the given one, or the newest that has some.

        Raises:
            StoreError: no round with weights exists.
        """
        numbers = reversed(self.round_numbers()) if number is None else [number]
        for candidate in numbers:
            if (folder := self.round_folder(candidate) / "model").is_dir():
                return folder
        which = f"Round {number} has" if number is not None else "No round has"
        raise StoreError(
            f"{which} no model yet in {self.folder}. A model exists once the seed set is labelled and trained on."
        )

    def complete_round(self, number: int) -> None:
        """The round made in `next/` is whole: from now on it is round `number`.

        Old rounds' weights go, their records stay.
        """
        folder = self.round_folder(number)
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.next.replace(folder)
        (folder / "draft.json").unlink(missing_ok=True)
        with_model = [n for n in self.round_numbers() if (self.round_folder(n) / "model").is_dir()]
        for number in with_model[:-KEPT_MODELS]:
            shutil.rmtree(self.round_folder(number) / "model")

    # -- what is going on ------------------------------------------------------------------------------------------

    @property
    def current(self) -> int | None:
        """Number of the round that annotators are served; None before the first."""
        try:
            return int((self.folder / "current").read_text())
        except FileNotFoundError:
            return None

    def set_current(self, number: int) -> None:
        """Record that a round is what annotators are served."""
        write_text(self.folder / "current", f"{number}\n")

    def progress(self) -> dict[str, Any] | None:
        """What is being done: {"stage", "done", "total", "at"}; `at` is in epoch seconds."""
        return read_json(self.folder / "progress.json")

    def save_progress(self, stage: str, done: int, total: int) -> None:
        """Say what is being done."""
        write_json(self.folder / "progress.json", {"stage": stage, "done": done, "total": total, "at": time.time()})

    def problem(self) -> Problem | None:
        """What stops the project; None when nothing does."""
        raw = read_json(self.folder / "problem.json")
        return Problem(**raw) if raw else None

    def record_problem(self, step: str, message: str, at: float) -> Problem:
        """Remember a failure."""
        before = self.problem()
        times = before.times + 1 if before is not None and before.step == step else 1
        problem = Problem(message=message, step=step, times=times, at=at)
        write_json(self.folder / "problem.json", asdict(problem))
        return problem

    def clear_problem(self) -> None:
        """Forget the last failure: the step went well."""
        (self.folder / "problem.json").unlink(missing_ok=True)

    def stop_set(self) -> list[str]:
        """Clips on which rounds are compared for the stop advice; [] before they are drawn."""
        return read_json(self.folder / "stop-set.json", default=[])

    def save_stop_set(self, clips: Sequence[str]) -> None:
        """Keep the stop set; it stays the same for the life of the project."""
        write_json(self.folder / "stop-set.json", list(clips))

    def notes(self) -> list[str]:
        """What a person should know or do, as of the last look at the project."""
        return read_json(self.folder / "notes.json", default=[])

    def save_notes(self, notes: Sequence[str]) -> None:
        """Replace the notes."""
        if list(notes) != self.notes():
            write_json(self.folder / "notes.json", list(notes))

    def quiet_since(self, tasks: int, newest: int, now: float) -> float:
        """Epoch seconds since which the set of tasks, told by its size and newest id, has stayed as it is."""
        shape = [tasks, newest]
        raw = read_json(self.folder / "quiet.json")
        if raw is None or raw["shape"] != shape:
            raw = {"shape": shape, "since": now}
            write_json(self.folder / "quiet.json", raw)
        return raw["since"]

    @property
    def _train_request(self) -> Path:
        return self.folder / "train-requested"

    @property
    def train_requested(self) -> bool:
        """Whether somebody pressed Start Training since the last training began."""
        return self._train_request.exists()

    def request_training(self) -> None:
        """Remember that somebody pressed Start Training."""
        write_text(self._train_request, "")

    def forget_training_request(self) -> None:
        """Training begins: the request is being met."""
        self._train_request.unlink(missing_ok=True)


@lru_cache(maxsize=64)
def _read_round(file: Path, written: int) -> Round:
    """A round's record; read once, since it never changes."""
    del written  # tells the file from one of another store that lay there before
    return Round.from_json(read_json(file))


class Store:
    """All projects under MODEL_DIR."""

    def __init__(self, model_dir: Path) -> None:
        self.folder = model_dir / "projects"

    def project(self, project: int) -> ProjectStore:
        """One project's files, whether or not there are any yet."""
        return ProjectStore(self.folder / str(project))

    def projects(self) -> list[int]:
        """Projects that ever connected, ascending."""
        return sorted(int(path.parent.name) for path in self.folder.glob("[0-9]*/connection.json"))
