"""Projects that asked to connect and that Label Studio hasn't confirmed yet: few, in one small file."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from aftertone.errors import TooManyProjectsError, UnknownProjectError
from aftertone.store.clock import elapsed
from aftertone.store.folder import RecordFolder
from aftertone.store.records import Asking, Unconfirmed

MOST = 20  # projects at a time; together with the next line what strangers can make the workers look up
FORGOTTEN_AFTER = 60.0  # seconds after which a project that Label Studio doesn't know, or didn't name, may ask again
PENDING = "it isn't confirmed yet: its model must be saved in Label Studio, and an `aftertone worker` must run."
LISTED_FOR = 86_400.0  # seconds for which a project that can't be confirmed for another reason stays listed


class UnconfirmedProjects:
    """Who asked to connect, for all processes of one MODEL_DIR."""

    def __init__(self, model_dir: Path) -> None:
        self._folder = RecordFolder(model_dir)
        self._lock = FileLock(model_dir / "unconfirmed.lock", timeout=5, poll_interval=0.01)

    def ask(self, project: int) -> bool:
        """Note that a project asks to connect, or asks again.

        Returns:
            Whether Label Studio should be asked now; not where that failed a moment ago.

        Raises:
            UnknownProjectError: Label Studio said a moment ago that it doesn't know it.
            TooManyProjectsError: too many ask at once.
        """
        if (known := _admitted(self._current(), project)) is None:
            with self._changing() as asking:
                if (known := _admitted(asking, project)) is None:
                    asking[project] = Asking(at=time.time())
        return known is None or not known.problem or elapsed(known.at, time.time()) > FORGOTTEN_AFTER

    def refuse(self, project: int) -> None:
        """Label Studio doesn't know the project: don't ask again for a while."""
        with self._changing() as asking:
            asking[project] = Asking(at=time.time(), refused=True)

    def postpone(self, project: int, problem: str) -> float:
        """Label Studio can't say whether it knows the project, for a reason that people should see.

        Returns:
            Seconds after which to ask it again: a minute at first, doubling to an hour.
        """
        with self._changing() as asking:
            before = asking.get(project) or Asking(at=time.time())
            asking[project] = Asking(at=time.time(), problem=problem, times=before.times + 1)
            return min(60.0 * 2 ** min(before.times, 6), 3600.0)

    def leave(self, project: int) -> None:
        """The project is confirmed."""
        if project in self._folder.get(Unconfirmed).projects:
            with self._changing() as asking:
                asking.pop(project, None)

    def problems(self) -> dict[int, str]:
        """Why projects that want to connect aren't confirmed."""
        return {project: row.problem or PENDING for project, row in self._current().items() if not row.refused}

    @contextmanager
    def _changing(self) -> Iterator[dict[int, Asking]]:
        with self._lock:
            asking = self._current()
            before = dict(asking)
            yield asking
            if asking != before:
                self._folder.save(Unconfirmed(projects=asking))

    def _current(self) -> dict[int, Asking]:
        now = time.time()
        rows = self._folder.get(Unconfirmed).projects
        return {p: r for p, r in rows.items() if elapsed(r.at, now) < (LISTED_FOR if r.problem else FORGOTTEN_AFTER)}


def _admitted(asking: Mapping[int, Asking], project: int) -> Asking | None:
    """The row of a project that may ask; None where it asks for the first time."""
    known = asking.get(project)
    if known is None and len(asking) >= MOST:
        raise TooManyProjectsError(
            f"{MOST} other projects have asked to connect within a minute or can't be confirmed yet (`aftertone "
            "status` lists those). Try again in a minute."
        )
    if known is not None and known.refused:
        raise UnknownProjectError(
            f"Label Studio doesn't know project {project}, or the user of LABEL_STUDIO_API_KEY isn't a member of it. "
            "Mend that and try again in a minute."
        )
    return known
