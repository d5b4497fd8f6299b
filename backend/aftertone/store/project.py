"""Everything Aftertone keeps about a project, as files under MODEL_DIR that a person can read.

projects/<id>/connection.json   how Label Studio connects it
projects/<id>/tasks.json        tasks and answers as last read, and up to which moment
projects/<id>/sources.json      what became of each audio address; quiet.json: since when the tasks stayed the same
projects/<id>/test-split.json   which clips are never trained on; stop-set.json: on which rounds are compared
projects/<id>/pool/             decoded clips and their frozen CNN features; adapted/: the backbone after TAPT
projects/<id>/source-pool/      clips of other corpora with labels, where the method learns from such
projects/<id>/next/             the round being made: a trained model that hasn't ranked the pool yet
projects/<id>/rounds/007/       round.json, scores.csv, embeddings.npy, model/; extension.json: more of its ranking
projects/<id>/current           number of the round that annotators are served
projects/<id>/steering.json     whether it is paused, which rounds are rolled back, options set by `aftertone set`
projects/<id>/asked-next.json   clips that people want to be asked for next
projects/<id>/train-requested   there while a Start Training waits; setup-requested: while a connection is to be read;
                                cancel-requested: while the step under way is to be ended
projects/<id>/webhook-secret    what Label Studio sends along with each webhook
projects/<id>/question.json     what is learned of the label config; in-progress.json: clips that wait for more votes
projects/<id>/progress.json     what is being done now; warnings.json: what a person should know or do; problem.json:
                                what went wrong last; damage.json: files that were set aside as <name>.corrupt
projects/<id>/lease.json        which worker may write here, and lease.lock, which is held for each write
running/                        servers and workers that run, with their settings
unconfirmed.json, refused.json  projects that aren't confirmed yet, and those that can't be used as they are set up

No path is built and no file is read anywhere else.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aftertone.errors import DamagedRecordError, NotKeptError, StoreError
from aftertone.store.folder import read_record, write_record
from aftertone.store.lease import hold
from aftertone.store.records import Connection, HeldOut, Problem, Quiet, Sources, Tasks
from aftertone.store.refusals import RefusedProjects
from aftertone.store.requests import Asked, RequestFolder
from aftertone.store.round_scores import FILE as SCORES
from aftertone.store.round_scores import Score, read_scores, write_scores
from aftertone.store.rounds import Draft, Extension, Round
from aftertone.store.running import RunningProcesses
from aftertone.store.state import State, sides_of
from aftertone.store.unconfirmed import UnconfirmedProjects
from aftertone_model.data.clips import CLIP_FILE, SAMPLE_RATE
from aftertone_model.data.files import is_scratch, put_in_place, remove, whole_file, whole_folder, write_text
from aftertone_model.pretraining.record import Adaptation, read_adaptation

if TYPE_CHECKING:
    from aftertone_model.data.pool import Pool

ADAPTED_AGAIN = "The backbone is adapted again."  # what follows from damage to it
SEGMENT = re.compile(r"[0-9]{1,7}[.][0-9]{3}[+][0-9]{1,7}[.][0-9]{3}")  # start and length in the id of a part of a file
EMBEDDINGS = "embeddings.npy"
KEPT_MODELS = 3  # newest rounds that keep their weights; the others can be trained again from round.json


class ProjectStore(RequestFolder):
    """One project's files: its records, requests, and what is more than a record."""

    @contextmanager
    def only_writer(self) -> Iterator["ProjectStore | None"]:
        """This project's files for its one writer, or None where another worker is that.

        Every change through what is given here is refused with LeaseLostError once another worker has taken over.
        """
        with hold(self.folder) as lease:
            yield ProjectStore(self.folder, lease.guard) if lease is not None else None

    def load(self) -> State:
        """What the next step depends on.

        Raises:
            DamagedRecordError: a file that can't be made again is damaged.
        """
        rounds, steering = tuple(self.rounds()), self.steering
        return State(
            sources=self.get(Sources).sources,
            held_out=self.get(HeldOut).clips or sides_of(rounds),
            quiet=self.read(Quiet),
            adaptation=self.adaptation(),
            rounds=rounds,
            current=self.current,
            trained=self._next.is_dir(),
            train_requested=self.train_requested,
            train_anyway=self.training_anyway,
            paused=steering.paused is not None,
            rolled_back=frozenset(steering.rolled_back),
            chosen=steering.chosen,
            asked=self.get(Asked).clips,
            extension=self.read(Extension),
            damage=self.damage(),
        )

    def connect(self, connection: Connection) -> None:
        """Remember a project; writes only what is new, since Label Studio says the same thousands of times.

        What failed before is tried again at once, as the change may have been made for that.
        """
        try:
            known = self.read(Connection)
        except DamagedRecordError:
            known = None
        if known != connection:
            self.save(connection)
            self.remove(Problem)

    @property
    def connected(self) -> bool:
        """Whether Label Studio ever confirmed the project, also where the file which says so is lost."""
        return any((self.folder / file).exists() for file in (Connection.FILE, Tasks.FILE))

    @property
    def webhook_secret(self) -> str:
        """What Label Studio sends along with each of the project's webhooks; '' while it sends nothing."""
        try:
            return (self.folder / "webhook-secret").read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return ""

    def set_webhook_secret(self, secret: str) -> None:
        """Record what Label Studio sends along from now on; '' for nothing."""
        path = self.folder / "webhook-secret"
        if secret:
            write_text(path, f"{secret}\n", private=True, guard=self.guard)
        else:
            with self.guard():
                path.unlink(missing_ok=True)

    def record_problem(self, step: str, message: str, at: float) -> None:
        """Remember a failure of a step at `at`, in epoch seconds."""
        before = self.read(Problem)
        times = before.times + 1 if before is not None and before.step == step else 1
        self.save(Problem(message=message, step=step, times=times, at=at))

    @property
    def current(self) -> int | None:
        """Number of the round that annotators are served; None before the first."""
        path = self.folder / "current"
        return self.mended(path, lambda: int(path.read_text()), "The newest round is published again.")

    def set_current(self, number: int) -> None:
        """Record that a round is what annotators are served."""
        write_text(self.folder / "current", f"{number}\n", guard=self.guard)

    # -- pool and backbone -----------------------------------------------------------------------------------------

    @property
    def pool(self) -> "Pool":
        """The project's decoded clips."""
        from aftertone_model.data.pool import Pool  # brings torch, which the server never needs

        return Pool(self.folder / "pool")

    @property
    def source_pool(self) -> "Pool":
        """Clips of other corpora that its method learns from."""
        from aftertone_model.data.pool import Pool

        return Pool(self.folder / "source-pool")

    def samples(self, clip: str) -> NDArray[np.int16] | None:
        """A clip's samples (S,) as int16 PCM, 16 kHz, mapped from disk; None where the project has no such clip."""
        file, _, part = clip.partition("@")
        if not CLIP_FILE.fullmatch(f"{file}.npy") or (part and not SEGMENT.fullmatch(part)):
            return None
        try:
            samples = np.load(self.folder / "pool" / "clips" / file[:2] / f"{file}.npy", mmap_mode="r")
        except (OSError, ValueError, EOFError):
            return None
        if not part:
            return samples
        start, _, seconds = part.partition("+")
        return samples[round(float(start) * SAMPLE_RATE) : round((float(start) + float(seconds)) * SAMPLE_RATE)]

    def seconds(self, clip: str) -> float:
        """How long a clip is; 0 where the project has no such clip."""
        samples = self.samples(clip)
        return 0.0 if samples is None else len(samples) / SAMPLE_RATE

    def adaptation(self) -> Adaptation | None:
        """How adapting the backbone went; None before."""

        def read() -> Adaptation | None:
            found = read_adaptation(self.adapted)
            if found is None and self.adapted.is_dir():
                raise ValueError("a folder without its record")
            return found

        return self.mended(self.adapted, read, ADAPTED_AGAIN)

    @property
    def adapted(self) -> Path:
        """Folder of the adapted backbone, which may not be there yet."""
        return self.folder / "adapted"

    def loading_adapted(self) -> AbstractContextManager[None]:
        """Around loading the adapted backbone: its folder is set aside where that fails."""
        return self.loading(self.adapted, ADAPTED_AGAIN)

    def forget_begun(self) -> None:
        """Throw away what steps have begun and not ended: the model of the next round, and an adaptation."""
        with self.guard():
            for folder in (self._next, self.folder / "adapted.part"):
                remove(folder)
        self.forget_training_request()

    def forget_adaptation(self) -> None:
        """Let the next `advance` adapt the backbone again.

        Raises:
            StoreError: it isn't adapted yet, so that nothing is to be done again.
        """
        if not self.adapted.is_dir():
            raise StoreError(
                f"The backbone isn't adapted yet in {self.folder}; it will be once the import has settled."
            )
        remove(self.adapted)

    # -- rounds ----------------------------------------------------------------------------------------------------

    def round_numbers(self) -> list[int]:
        """Numbers of the complete rounds, ascending."""
        return _numbered(self.folder / "rounds", digits=3)

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
        self, record: Round, scores: Sequence[Score], embeddings: NDArray[np.float16] | None = None
    ) -> None:
        """The model in `next/` has ranked the pool: from now on that is a round. Old rounds' weights go.

        Args:
            embeddings: (N, D) of every scored clip, rows by id, ascending; for the map of the pool and for search.
        """
        write_record(self._next, record, self.guard)
        write_scores(self._next, scores, record.classes, self.guard)
        if embeddings is not None:
            with whole_file(self._next / EMBEDDINGS, guard=self.guard) as scratch, scratch.open("wb") as file:
                np.save(file, embeddings)
        folder = self._round_folder(record.number)
        put_in_place(self._next, folder, guard=self.guard)
        with self.guard():
            remove(folder / Draft.FILE)
            rolled_back = self.steering.rolled_back
            for number in sorted(self.with_model(), key=lambda n: (n not in rolled_back, n))[:-KEPT_MODELS]:
                remove(self._round_folder(number) / "model")

    @property
    def _next(self) -> Path:
        return self.folder / "next"

    def _round_folder(self, number: int) -> Path:
        return self.folder / "rounds" / f"{number:03d}"


def _numbered(folder: Path, *, digits: int = 1) -> list[int]:
    """Numbers of the folders that bear one as their name, ascending; whatever else lies there is ignored."""
    names = [path.name for path in folder.glob("[0-9]*") if path.is_dir()]
    return sorted(int(name) for name in names if name.isdecimal() and name == f"{int(name):0{digits}d}")


@lru_cache(maxsize=1024)
def _read_round(file: Path, _written: int) -> Round:
    """A round's record; read once, since it never changes. When it was written tells it from another store's."""
    return read_record(Round, file)


class Store:
    """All projects under MODEL_DIR."""

    def __init__(self, model_dir: Path) -> None:
        self.model_dir = model_dir
        self._folder = model_dir / "projects"
        self.running = RunningProcesses(model_dir)
        self.unconfirmed = UnconfirmedProjects(model_dir)
        self.refused = RefusedProjects(model_dir)

    def project(self, project: int) -> ProjectStore:
        """One project's files, whether or not there are any yet."""
        return ProjectStore(self._folder / str(project))

    def kept(self, project: int) -> ProjectStore:
        """The same of a project that has a folder.

        Raises:
            NotKeptError: it has none.
        """
        store = self.project(project)
        if not store.folder.is_dir():
            known = ", ".join(map(str, self.folders())) or "none"
            raise NotKeptError(f"Nothing is kept of project {project} in MODEL_DIR={self.model_dir}; known: {known}.")
        return store

    def projects(self) -> list[int]:
        """Projects that ever connected, also those that lost the file which says so; ascending."""
        return [number for number in self.folders() if self.project(number).connected]

    def folders(self) -> list[int]:
        """Projects that have a folder, whatever is in it; ascending."""
        return _numbered(self._folder)

    def sweep(self) -> None:
        """Remove what is left of projects whose removal was killed."""
        for path in self._folder.glob(".*.*"):
            if is_scratch(path.name):
                with suppress(FileNotFoundError):  # another process is faster
                    remove(path)
