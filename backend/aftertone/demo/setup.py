"""All that annotators need before they can label: Label Studio, a project with tasks, Aftertone, a first round."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from aftertone.demo.accounts import Account, invitation, open_account
from aftertone.demo.console import Console
from aftertone.demo.corpus import Corpus, read_corpus
from aftertone.demo.environment import label_studio_command
from aftertone.demo.interrupts import interrupts_held
from aftertone.demo.processes import AFTERTONE, Processes
from aftertone.demo.project import connect_backend, create_project, import_tasks, label_config
from aftertone.demo.server import RunningServer, free_port, start_label_studio
from aftertone.demo.speech import CLIPS, speak_corpus
from aftertone.demo.state import EMAIL, StateFile
from aftertone.demo.wait import Watch
from aftertone.labelstudio.client import LabelStudio
from aftertone.store.project import ProjectStore, Store

SPEECH_SEED = 0
SPEECH_TITLE = "Demonstration: a synthesiser speaks"
BACKEND_SECONDS = 240.0  # to answer /health; loading its packages takes long on a busy machine


@dataclass(frozen=True, kw_only=True)
class OpenQueue:
    """A project whose first round annotators are served."""

    corpus: Corpus
    server: RunningServer
    label_studio: LabelStudio  # as the person whose project it is
    project: int
    store: ProjectStore
    watch: Watch
    environment: dict[str, str] = field(repr=False)  # of Aftertone's processes


class Setup:
    """The steps up to the open queue. Each finds what an earlier start has done and adds what is missing."""

    def __init__(self, folder: Path, console: Console, processes: Processes) -> None:
        self._folder, self._console, self._processes = folder, console, processes
        self._file = StateFile(folder / "state.json")

    def open(self, audio: Path | None, limit: int | None, *, labelled: bool) -> OpenQueue:
        """Do it all.

        Args:
            audio: a folder or a manifest.csv; None has clips spoken.
            limit: most clips that are used; None for all.
            labelled: leave out clips that an oracle couldn't label.

        Raises:
            AftertoneError: a step failed; what was made stays for the next start.
        """
        corpus = self._corpus(audio, limit, labelled=labelled)
        server = self._start_label_studio()
        person = self._person(server)
        label_studio = LabelStudio(server.url, person.token)
        project = self._project(label_studio, corpus, server)
        environment = self._environment(server, person, oracle_settings(len(corpus.rows)) if labelled else {})
        self._start_aftertone(label_studio, project, environment)
        store = Store(self._folder / "model").project(project)
        watch = Watch(store, self._console, self._processes.check)
        watch.until_round(0)
        watch.tell("unadapted")
        self._console.say(
            f"\n  Label Studio   {server.url}/projects/{project}/data\n"
            f"  e-mail         {EMAIL}\n"
            f"  password       {self._file.state.password}\n\n"
            "  UA: mean recall of the classes (95 % interval). WA: accuracy. Both on clips that are never trained on.\n"
        )
        return OpenQueue(
            corpus=corpus, server=server, label_studio=label_studio, project=project, store=store, watch=watch,
            environment=environment,
        )  # fmt: skip

    def annotators(self, queue: OpenQueue, count: int) -> Sequence[Account]:
        """That many accounts beside the person's own."""
        while len(known := self._file.state.annotators) < count:
            email = f"annotator-{len(known) + 1}@example.com"
            with interrupts_held():  # Label Studio shows a token once
                token = invitation(queue.label_studio)
                account = open_account(queue.server.url, email, self._file.state.password, invitation=token)
                self._file.update(annotators=(*known, account))
        return self._file.state.annotators[:count]

    def _corpus(self, audio: Path | None, limit: int | None, *, labelled: bool) -> Corpus:
        if audio is not None:
            return read_corpus(audio, limit=limit, labelled=labelled)
        self._console.say(
            "No AUDIO given: a synthesiser speaks the clips. This demonstrates the loop, not the accuracy.\n"
        )
        clips = limit or CLIPS
        with self._console.step("Speaking the clips") as bar:
            manifest = speak_corpus(
                self._folder / "speech", clips, seed=SPEECH_SEED, spoken=lambda done: bar(done, clips)
            )
        return replace(read_corpus(manifest, limit=limit, labelled=labelled), title=SPEECH_TITLE)

    def _start_label_studio(self) -> RunningServer:
        with self._console.step("Installing Label Studio (once)"):
            command = label_studio_command(self._folder / "label-studio-env")
        port = free_port(self._file.state.label_studio_port)
        state = self._file.update(label_studio_port=port)
        with self._console.step("Starting Label Studio"):
            return start_label_studio(
                self._processes, command, self._folder / "label-studio",
                port=port, email=EMAIL, password=state.password, secret_key=state.secret_key,
            )  # fmt: skip

    def _person(self, server: RunningServer) -> Account:
        if self._file.state.person is not None:
            return self._file.state.person
        with interrupts_held():
            person = open_account(server.url, EMAIL, self._file.state.password)
            self._file.update(person=person)
        return person

    def _project(self, label_studio: LabelStudio, corpus: Corpus, server: RunningServer) -> int:
        audio = corpus.link(server.documents)
        projects = self._file.state.projects
        if corpus.name not in projects:
            with interrupts_held():
                project = create_project(
                    label_studio, title=corpus.title, config=label_config(corpus.labels), audio=audio
                )
                projects = {**projects, corpus.name: project}
                self._file.update(projects=projects)
        project = projects[corpus.name]
        with self._console.step("Importing the tasks") as bar:
            import_tasks(label_studio, project, corpus.tasks(server.documents), bar)
        return project

    def _environment(self, server: RunningServer, person: Account, defaults: Mapping[str, str]) -> dict[str, str]:
        """What Aftertone's own processes are told: what the user has set goes before `defaults`."""
        port = free_port(self._file.state.backend_port)
        self._file.update(backend_port=port)
        return {
            "SETTLE_SECONDS": "5",
            **defaults,
            **os.environ,
            "LABEL_STUDIO_URL": server.url,
            "LABEL_STUDIO_API_KEY": person.token,
            "MODEL_DIR": str(self._folder / "model"),
            "HOST": "127.0.0.1",
            "PORT": str(port),
        }

    def _start_aftertone(self, label_studio: LabelStudio, project: int, environment: dict[str, str]) -> None:
        with self._console.step("Starting Aftertone"):
            backend = self._processes.start("Backend", [*AFTERTONE, "serve"], environment)
            self._processes.start("Worker", [*AFTERTONE, "worker"], environment)
            url = f"http://127.0.0.1:{environment['PORT']}"
            backend.wait_until_up(url, BACKEND_SECONDS)
            connect_backend(label_studio, project, url=url)


def oracle_settings(clips: int) -> dict[str, str]:
    """What suits an oracle, who doesn't tire: rounds of a fifth of the clips, and a test set large enough to tell."""
    batch = str(max(20, clips // 5))
    return {"SEED_SIZE": batch, "BATCH_SIZE": batch, "TEST_SHARE": "0.3"}
