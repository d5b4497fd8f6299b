"""Everything Aftertone keeps about a project, as files under MODEL_DIR that a person can read.

projects/<id>/connection.json   how Label Studio connects it
projects/<id>/tasks.json        tasks and answers as last read, and up to which moment
projects/<id>/sources.json      what became of each audio address; quiet.json: since when the tasks stayed the same
projects/<id>/test-split.json   which clips are never trained on; stop-set.json: on which rounds are compared
projects/<id>/pool/             decoded clips and their frozen CNN features; adapted/: the backbone after TAPT
projects/<id>/source-pool/      clips of other corpora with labels, where the method learns from such
projects/<id>/next/             the round being made: a trained model that hasn't ranked the pool yet
projects/<id>/rounds/007/       round.json, scores.csv, embeddings.npy, projection.npy, model/; extension.json: more of
                                its ranking
projects/<id>/current           number of the round that annotators are served
projects/<id>/steering.json     whether it is paused, which rounds are rolled back, options set by `aftertone set`
projects/<id>/asked-next.json   clips that people want to be asked for next
projects/<id>/exports/          archives that the page's button made; exports.json: what became of each
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
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aftertone.errors import DamagedRecordError, NotKeptError, StoreError
from aftertone.store.lease import hold
from aftertone.store.records import Connection, HeldOut, Problem, Quiet, Sources, Tasks
from aftertone.store.refusals import RefusedProjects
from aftertone.store.requests import Asked
from aftertone.store.round_folder import RoundFolder, numbered
from aftertone.store.rounds import Extension
from aftertone.store.running import RunningProcesses
from aftertone.store.state import State, sides_of
from aftertone.store.unconfirmed import UnconfirmedProjects
from aftertone_model.data.clips import CLIP_FILE, SAMPLE_RATE
from aftertone_model.data.files import is_scratch, remove, write_text
from aftertone_model.pretraining.record import Adaptation, read_adaptation

if TYPE_CHECKING:
    from aftertone_model.data.pool import Pool

ADAPTED_AGAIN = "The backbone is adapted again."  # what follows from damage to it
SEGMENT = re.compile(r"[0-9]{1,7}[.][0-9]{3}[+][0-9]{1,7}[.][0-9]{3}")  # start and length in the id of a part of a file


class ProjectStore(RoundFolder):
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
        return numbered(self._folder)

    def sweep(self) -> None:
        """Remove what is left of projects whose removal was killed."""
        for path in self._folder.glob(".*.*"):
            if is_scratch(path.name):
                with suppress(FileNotFoundError):  # another process is faster
                    remove(path)
