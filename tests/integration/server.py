"""The real Label Studio as the tests see it: a project per test, and people who label."""

import io
import itertools
import wave
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aftertone.demo.accounts import Account, invitation, open_account
from aftertone.demo.project import (
    create_project,
    import_tasks,
    label_config,
    list_tasks,
    next_task,
    served_at,
    submit_choice,
)
from aftertone.demo.server import RunningServer
from aftertone.labelstudio.client import LabelStudio


@dataclass(frozen=True, kw_only=True)
class Annotator:
    """Somebody with an account of their own."""

    account: Account
    session: LabelStudio

    def next_task(self, project: int) -> int | None:
        """Id of the task that "Label All Tasks" opens for this person, None when there is nothing left."""
        return next_task(self.session, project)

    def choose(self, task: int, label: str, *, name: str = "emotion", audio: str = "audio") -> int:
        """Submits one choice for a task as the labelling page would. Returns the annotation's id."""
        return submit_choice(self.session, task, label, choices=name, audio=audio)

    def skip(self, task: int) -> int:
        """Skips a task as the labelling page would. Returns the cancelled annotation's id."""
        body = {"result": [], "was_cancelled": True}
        return int(self.session.post(f"/api/tasks/{task}/annotations/", body, was_cancelled=1)["id"])


@dataclass(frozen=True, kw_only=True)
class Server:
    """The running Label Studio with its administrator signed in."""

    server: RunningServer
    account: Account
    legacy_token: str  # works as `Authorization: Token ...`
    session: LabelStudio  # API calls as the administrator
    _numbers: Iterator[int] = field(default_factory=itertools.count, repr=False)

    @property
    def url(self) -> str:
        """Address without a slash at the end."""
        return self.server.url

    @property
    def admin_token(self) -> str:
        """The administrator's Personal Access Token."""
        return self.account.token

    def project(self, files: Mapping[str, bytes] | int = 0, *, config: str | None = None) -> int:
        """A new project with a task per file (name to content; a number makes that many tones). Returns its id."""
        if isinstance(files, int):
            files = {f"tone-{index:04d}.wav": wav(tone(index)) for index in range(files)}
        folder = self.server.documents / f"project-{next(self._numbers):03d}"
        folder.mkdir()
        title = f"Tests in {folder.name}"
        project = create_project(self.session, title=title, config=config or label_config(), audio=folder)
        self.add_tasks(project, folder, files)
        return project

    def add_tasks(self, project: int, folder: Path, files: Mapping[str, bytes]) -> list[int]:
        """Writes `files` into the project's `folder` and imports a task for each. Returns all its task ids."""
        for name, content in files.items():
            (folder / name).write_bytes(content)
        import_tasks(self.session, project, [{"audio": served_at(self.server.documents, folder / n)} for n in files])
        return self.tasks(project)

    def folder(self, project: int) -> Path:
        """The folder that the project's audio lies in."""
        return Path(self.session.get("/api/storages/localfiles", project=project)[0]["path"])

    def tasks(self, project: int) -> list[int]:
        """All task ids of a project, ascending."""
        return [task.id for task in list_tasks(self.session, project)]

    def annotator(self) -> Annotator:
        """A new account that joined by invitation."""
        email = f"annotator-{next(self._numbers)}@example.com"
        account = open_account(self.url, email, "a-password-for-tests", invitation=invitation(self.session))
        return Annotator(account=account, session=LabelStudio(self.url, account.token))


def tone(number: int, seconds: float = 1.0, rate: int = 16_000) -> NDArray[np.float64]:
    """A signal (S,) in [-1, 1] of its own for each number: two partials and a little noise."""
    time = np.arange(round(seconds * rate)) / rate
    pitch = 110.0 * 2 ** (number % 36 / 12)
    noise = np.random.default_rng(number).standard_normal(len(time))
    return 0.3 * np.sin(2 * np.pi * pitch * time) + 0.15 * np.sin(2 * np.pi * 2.5 * pitch * time) + 0.01 * noise


def wav(signal: NDArray[np.float64], rate: int = 16_000) -> bytes:
    """A 16-bit mono WAV file of `signal` (S,) in [-1, 1]."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.clip(signal, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()
