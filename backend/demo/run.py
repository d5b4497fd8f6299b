"""`aftertone demo`: from nothing to a queue in a real Label Studio, and with an oracle on to a trained model."""

import os
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

from backend.demo.accounts import Account, invitation, open_account
from backend.demo.corpus import Corpus, read_corpus
from backend.demo.environment import label_studio_command
from backend.demo.errors import DemoError
from backend.demo.health import wait_until_up
from backend.demo.interrupts import interrupts_held, interrupts_raised
from backend.demo.labelstudio import LabelStudio, free_port, start_label_studio
from backend.demo.oracle import Oracle, ServingLog
from backend.demo.processes import Processes
from backend.demo.project import connect_backend, create_project, import_tasks, label_config
from backend.demo.report import line, report_round, write_report
from backend.demo.screen import Screen
from backend.demo.session import Session
from backend.demo.speech import CLIPS, speak_corpus
from backend.demo.state import EMAIL, StateFile, only_demo
from backend.demo.trial import export_model, try_model
from backend.demo.watch import Watch
from backend.store import ProjectStore, Store
from model.errors import AftertoneError

ANNOTATORS = 2  # of the oracle, who label in turn
SPEECH_SEED = 0
BACKEND_SECONDS = 240.0  # to answer /health; loading its packages takes long on a busy machine
INTERRUPTED = 130  # exit status, as the shell has it


def demo(*, audio: Path | None, limit: int | None, oracle: bool, rounds: int, folder: Path) -> int:
    """Runs the demo in `folder` and returns the exit status.

    Without `oracle` it ends at Ctrl-C, with 0 once the queue was open. With it, it ends when `rounds` trained rounds
    are published: 0 if every task was served in the published order and the exported model works, else 1.
    """
    screen = Screen()
    folder = folder.resolve()
    try:
        with interrupts_raised(), only_demo(folder):
            processes = Processes(folder)
            processes.end_leftovers()
            try:
                return _Demo(folder, screen, processes).run(audio, limit, rounds if oracle else None)
            finally:
                processes.end()
    except KeyboardInterrupt:
        screen.say("\nStopped before the queue was open. Nothing is lost: the same command goes on from here.")
        return INTERRUPTED
    except AftertoneError as error:
        print(f"\naftertone demo: {error}", file=sys.stderr)
        return 1


class _Demo:
    """The steps, in order, and what they share."""

    def __init__(self, folder: Path, screen: Screen, processes: Processes) -> None:
        self._folder, self._screen, self._processes = folder, screen, processes
        self._file = StateFile(folder / "state.json")
        self._began = time.monotonic()

    def run(self, audio: Path | None, limit: int | None, rounds: int | None) -> int:
        corpus = self._corpus(audio, limit, labelled=rounds is not None)
        server = self._start_label_studio()
        person = self._person(server)
        session = Session(server.url, person.token)
        project = self._project(session, corpus, server)
        environment = self._environment(server, person)
        self._start_aftertone(session, project, environment)
        store = Store(self._folder / "model").project(project)
        watch = Watch(store, self._screen, self._processes.check)
        watch.until_round(0)
        self._welcome(server, project)
        if rounds is None:
            return self._serve_people(store, watch)
        sessions = [Session(server.url, account.token) for account in self._annotators(server, session)]
        log = ServingLog(self._folder / "oracle" / f"project-{project}.jsonl")
        oracle = Oracle(sessions, project, corpus.answers(server.documents), store, log)
        self._label(oracle, range(len(sessions)), store, watch, log, rounds)
        release = str(session.get("/api/version")["release"])
        return self._finish(corpus, project, store, log, environment, release)

    def _corpus(self, audio: Path | None, limit: int | None, *, labelled: bool) -> Corpus:
        if audio is None:
            self._screen.say(
                "No AUDIO given: a speech synthesiser speaks. This demonstrates the loop, not the accuracy."
            )
            with self._screen.step("Speaking the clips") as bar:
                clips = limit or CLIPS
                audio = speak_corpus(
                    self._folder / "speech", clips, seed=SPEECH_SEED, spoken=lambda done: bar(done, clips)
                )
        return read_corpus(audio, limit=limit, labelled=labelled)

    def _start_label_studio(self) -> LabelStudio:
        with self._screen.step("Installing Label Studio (once)"):
            command = label_studio_command(self._folder / "label-studio-env")
        port = free_port(self._file.state.label_studio_port)
        self._file.update(label_studio_port=port)
        with self._screen.step("Starting Label Studio"):
            return start_label_studio(
                self._processes,
                command,
                self._folder / "label-studio",
                port=port,
                email=EMAIL,
                password=self._file.state.password,
            )

    def _person(self, server: LabelStudio) -> Account:
        if self._file.state.person is None:
            with interrupts_held():  # Label Studio shows a token once
                self._file.update(person=open_account(server.url, EMAIL, self._file.state.password))
        assert self._file.state.person is not None
        return self._file.state.person

    def _annotators(self, server: LabelStudio, session: Session) -> Sequence[Account]:
        while len(known := self._file.state.annotators) < ANNOTATORS:
            email = f"annotator-{len(known) + 1}@example.com"
            with interrupts_held():
                account = open_account(server.url, email, self._file.state.password, invitation=invitation(session))
                self._file.update(annotators=(*known, account))
        return self._file.state.annotators

    def _project(self, session: Session, corpus: Corpus, server: LabelStudio) -> int:
        audio = corpus.link(server.documents)
        projects = self._file.state.projects
        if corpus.name not in projects:
            with interrupts_held():
                project = create_project(session, title=corpus.title, config=label_config(corpus.labels), audio=audio)
                projects = {**projects, corpus.name: project}
                self._file.update(projects=projects)
        project = projects[corpus.name]
        with self._screen.step("Importing the tasks") as bar:
            import_tasks(session, project, corpus.tasks(server.documents), bar)
        return project

    def _environment(self, server: LabelStudio, person: Account) -> dict[str, str]:
        """What Aftertone's own processes are told, beside whatever the user has set."""
        port = free_port(self._file.state.backend_port)
        self._file.update(backend_port=port)
        return {
            "BACKBONE": "tiny",
            "SETTLE_SECONDS": "5",
            **os.environ,
            "LABEL_STUDIO_URL": server.url,
            "LABEL_STUDIO_API_KEY": person.token,
            "MODEL_DIR": str(self._folder / "model"),
            "HOST": "127.0.0.1",
            "PORT": str(port),
        }

    def _start_aftertone(self, session: Session, project: int, environment: dict[str, str]) -> None:
        with self._screen.step("Starting Aftertone"):
            backend = self._processes.start("Backend", [_aftertone(), "serve"], environment)
            self._processes.start("Worker", [_aftertone(), "worker"], environment)
            url = f"http://127.0.0.1:{environment['PORT']}"
            wait_until_up(backend, url, BACKEND_SECONDS)
            connect_backend(session, project, url=url)

    def _welcome(self, server: LabelStudio, project: int) -> None:
        self._screen.say(
            f"\n  Label Studio   {server.url}/projects/{project}/data\n"
            f"  e-mail         {EMAIL}\n"
            f"  password       {self._file.state.password}\n"
        )

    def _serve_people(self, store: ProjectStore, watch: Watch) -> int:
        self._screen.say(
            '  Sign in and press "Label All Tasks": the clips come in the order that teaches most. After every\n'
            f"  {store.round(store.current or 0).batch} labels Aftertone trains and puts the queue in a new order. "
            "Ctrl-C ends everything and keeps it\n  for the next start.\n"
        )
        try:
            shown = -1
            while True:
                if (current := store.current) is not None and current != shown:
                    self._screen.say(line(report_round(store.round(current), ())))
                    shown = current
                watch.until(lambda shown=shown: store.current != shown, patient=True)
        except KeyboardInterrupt:
            self._screen.say("\nStopped. Every label is kept: the same command goes on from here.")
            return 0

    def _label(
        self, oracle: Oracle, annotators: range, store: ProjectStore, watch: Watch, log: ServingLog, rounds: int
    ) -> None:
        for number in range(rounds + 1):
            watch.until_round(number)
            record = store.round(number)
            if store.current == number and number < rounds:
                with self._screen.step(f"Labelling {record.batch} clips") as bar:
                    oracle.label(record, bar)
            elif store.current == number:  # the last round is only looked at
                for annotator in annotators:
                    oracle.open_next(annotator, record)
            self._screen.say(line(report_round(record, log)))

    def _finish(
        self,
        corpus: Corpus,
        project: int,
        store: ProjectStore,
        log: ServingLog,
        environment: dict[str, str],
        release: str,
    ) -> int:
        export = self._folder / "export"
        with self._screen.step("Exporting the model and trying it"):
            export_model(_aftertone(), project, export, environment)
            label, probability = try_model(export, corpus.rows[0].path, self._folder / "trial.wav")
        reports = [report_round(store.round(number), log) for number in store.round_numbers()]
        report = self._folder / "report.json"
        write_report(
            report,
            reports,
            label_studio=release,
            corpus=corpus.title,
            clips=len(corpus.rows),
            seconds=time.monotonic() - self._began,
            export=str(export),
        )
        self._screen.say(
            f"\n  model          {export}\n"
            f"                 says {label} ({probability:.2f}) to {corpus.rows[0].path.name}, "
            f"which the corpus calls {corpus.rows[0].emotion}\n"
            f"  report         {report}\n"
        )
        if strays := sum(len(one.strays) for one in reports):
            raise DemoError(
                f"{strays} tasks were not served in the published order; {report} lists them under `strays`. "
                "Did someone else label in this project meanwhile?"
            )
        return 0


def _aftertone() -> Path:
    """The command of the environment that we run in, whatever PATH says."""
    return Path(sysconfig.get_path("scripts")) / "aftertone"
