"""The real Label Studio under the annotators: one that we start and may kill, or one that somebody else runs."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from aftertone.demo.accounts import Account, invitation, open_account
from aftertone.demo.environment import label_studio_command
from aftertone.demo.project import create_project, import_tasks, label_config, served_at
from aftertone.demo.server import START_SECONDS, free_port, server_command
from aftertone.errors import LabelStudioError
from aftertone.labelstudio.client import LabelStudio
from aftertone.store.records import Connection
from tests.chaos.supervisor import Supervised, Supervisor
from tests.integration.server import tone, wav

REPOSITORY = Path(__file__).parents[2]
EMAIL, PASSWORD = "chaos@example.com", "a-password-for-chaos"
CONNECT_SECONDS = 180.0  # in which a user who tries again must get a project connected


class Host:
    """A Label Studio with its administrator signed in. Usable from several threads."""

    def __init__(self, url: str, token: str, documents: Path, process: Supervised | None = None) -> None:
        self.url, self.token, self.documents = url, token, documents
        self.process = process  # None: somebody else's, which we leave alone
        self.admin = LabelStudio(url, token)
        self.secrets = [token, PASSWORD]
        self._tones = 0

    @classmethod
    def start(cls, supervisor: Supervisor, folder: Path) -> "Host":
        """Start one with its data in `folder`; the supervisor starts it again on the same port when it dies."""
        port = free_port()
        command, environment = server_command(
            label_studio_command(REPOSITORY / ".demo" / "label-studio-env"), folder / "label-studio",
            port=port, email=EMAIL, password=PASSWORD, secret_key="0" * 50,
        )  # fmt: skip
        process = supervisor.add(Supervised("Label Studio", command, environment, folder))
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_SECONDS
        while not is_up(url):
            if process.ended_by_itself or time.monotonic() > deadline:
                raise RuntimeError(f"Label Studio doesn't start; its log is {process.log}")
            time.sleep(0.2)
        return cls(url, open_account(url, EMAIL, PASSWORD).token, folder / "label-studio" / "documents", process)

    @property
    def up(self) -> bool:
        """Whether it answers."""
        return is_up(self.url)

    def annotator(self, name: str) -> Account:
        """A new account that joined by invitation."""
        account = open_account(self.url, f"{name}@example.com", PASSWORD, invitation=invitation(self.admin))
        self.secrets.append(account.token)
        return account

    def project(self, name: str, tasks: int) -> int:
        """A new project with that many tones. Returns its id."""
        folder = self.documents / name
        folder.mkdir()
        project = create_project(self.admin, title=name, config=label_config(), audio=folder)
        self.add_tones(project, name, tasks)
        return project

    def add_tones(self, project: int, name: str, count: int) -> None:
        """Import more tones; no two tones of a run are the same."""
        files = []
        for number in range(self._tones, self._tones + count):
            file = self.documents / name / f"tone-{number:06d}.wav"
            file.write_bytes(wav(tone(number)))
            files.append(file)
        self._tones += count
        import_tasks(self.admin, project, [{"audio": served_at(self.documents, file)} for file in files])

    def connect(self, project: int, backend: str, store: Path) -> None:
        """Connect a backend as a user does, who tries again when Label Studio says that it doesn't answer.

        Args:
            backend: its address.
            store: the project's folder under MODEL_DIR, which shows whether the backend has understood.
        """
        deadline = time.monotonic() + CONNECT_SECONDS
        while not (store / Connection.FILE).exists():
            if time.monotonic() > deadline:
                raise RuntimeError(f"Project {project} could not be connected within {CONNECT_SECONDS:.0f} s")
            with suppress(LabelStudioError):
                for row in self.admin.get("/api/ml", project=project):
                    self.admin.delete(f"/api/ml/{row['id']}")
                self.admin.post("/api/ml", {"url": backend, "project": project, "title": "Aftertone"})
            time.sleep(0.5)

    def start_training(self, project: int) -> None:
        """Press Start Training."""
        for row in self.admin.get("/api/ml", project=project):
            self.admin.post(f"/api/ml/{row['id']}/train")

    def annotations(self, project: int) -> dict[int, tuple[int, str]]:
        """Every annotation of a project: id -> (task, label)."""
        rows: Sequence[dict] = self.admin.get(f"/api/projects/{project}/export", exportType="JSON")
        return {
            annotation["id"]: (row["id"], annotation["result"][0]["value"]["choices"][0])
            for row in rows
            for annotation in row["annotations"]
        }


def is_up(url: str) -> bool:
    """Whether a server's /health succeeds within two seconds."""
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/health", timeout=2.0, trust_env=False).is_success
    return False
