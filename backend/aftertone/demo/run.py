"""`aftertone demo`: the open queue, and who labels from it: a person, or an oracle that measures the loop."""

import sys
import sysconfig
import time
from pathlib import Path

from aftertone.demo.check_export import export_model, try_model
from aftertone.demo.console import Screen
from aftertone.demo.errors import DemoError
from aftertone.demo.interrupts import interrupts_raised
from aftertone.demo.oracle import Oracle, ServingLog
from aftertone.demo.processes import Processes
from aftertone.demo.report import RoundReport, line, report_round, write_report
from aftertone.demo.session import Session
from aftertone.demo.setup import Opening, OpenQueue
from aftertone.demo.state import only_demo
from aftertone_model.errors import AftertoneError

ANNOTATORS = 2  # of the oracle, who label in turn
INTERRUPTED = 130  # exit status, as the shell has it


def demo(*, audio: Path | None, limit: int | None, oracle: bool, rounds: int, folder: Path) -> int:
    """Runs the demo in `folder` and returns the exit status.

    Without `oracle` it ends at Ctrl-C, with 0 once the queue was open. With it, it ends when `rounds` trained rounds
    are published: with 0 if every task was served in the published order and the exported model works, else with 1.
    """
    began = time.monotonic()
    screen = Screen()
    folder = folder.resolve()
    person_labels = False
    try:
        with interrupts_raised(), only_demo(folder):
            processes = Processes(folder)
            processes.end_leftovers()
            try:
                opening = Opening(folder, screen, processes, _aftertone())
                queue = opening.open(audio, limit, labelled=oracle)
                if not oracle:
                    person_labels = True
                    _serve_person(queue, screen)
                sessions = [Session(queue.server.url, one.token) for one in opening.annotators(queue, ANNOTATORS)]
                reports = _serve_oracle(queue, screen, sessions, folder / "oracle", rounds)
                _finish(queue, screen, folder, reports, began)
                return 0
            finally:
                with screen.step("Ending every process"):
                    processes.end()
    except KeyboardInterrupt:
        screen.say("\nStopped. Nothing is lost: the same command goes on from here.")
        return 0 if person_labels else INTERRUPTED
    except AftertoneError as error:
        print(f"\naftertone demo: {error}", file=sys.stderr)
        return 1


def _serve_person(queue: OpenQueue, screen: Screen) -> None:
    """Shows each round as it comes, until Ctrl-C."""
    store = queue.store
    screen.say(
        '  Sign in and press "Label All Tasks": the clips that teach most come first. After every\n'
        f"  {store.round(store.current or 0).batch} labels Aftertone trains and puts the queue in a new order.\n"
        "  Ctrl-C ends everything and keeps it for the next start.\n"
    )
    while True:
        shown = store.current
        if shown is not None:
            screen.say(line(report_round(store.round(shown), ())))
        queue.watch.until(lambda shown=shown: store.current != shown, patient=True)


def _serve_oracle(
    queue: OpenQueue, screen: Screen, sessions: list[Session], folder: Path, rounds: int
) -> list[RoundReport]:
    """Labels until `rounds` trained rounds are published, and has a look at the last one's first tasks."""
    log = ServingLog(folder / f"project-{queue.project}.jsonl")
    oracle = Oracle(sessions, queue.project, queue.corpus.answers(queue.server.documents), queue.store, log)
    for number in range(rounds + 1):
        queue.watch.until_round(number)
        record = queue.store.round(number)
        if queue.store.current == number < rounds:
            with screen.step(f"Labelling {record.batch} clips") as bar:
                oracle.label(record, bar)
        elif queue.store.current == number:
            for annotator in range(len(sessions)):
                oracle.open_next(annotator, record)
        screen.say(line(report_round(record, log)))
    return [report_round(queue.store.round(number), log) for number in queue.store.round_numbers()]


def _finish(queue: OpenQueue, screen: Screen, folder: Path, reports: list[RoundReport], began: float) -> None:
    """Exports the model, tries it, writes report.json. Raises DemoError if a task was served out of turn."""
    export, report, clip = folder / "export", folder / "report.json", queue.corpus.rows[0]
    with screen.step("Exporting the model and trying it"):
        export_model(_aftertone(), queue.project, export, queue.environment)
        label, probability = try_model(export, clip.path, folder / "trial.wav")
    write_report(
        report,
        reports,
        label_studio=str(queue.session.get("/api/version")["release"]),
        corpus=queue.corpus.title,
        clips=len(queue.corpus.rows),
        seconds=time.monotonic() - began,
        export=str(export),
    )
    screen.say(
        f"\n  model          {export}\n"
        f"                 calls {clip.path.name} {label} ({probability:.2f}); the corpus calls it {clip.emotion}\n"
        f"  report         {report}\n"
    )
    if strays := sum(len(one.strays) for one in reports):
        raise DemoError(
            f"{strays} tasks were not served in the published order; {report} lists them under `strays`. "
            "Did someone else label in this project meanwhile?"
        )


def _aftertone() -> Path:
    """The command of the environment that we run in, whatever PATH says."""
    return Path(sysconfig.get_path("scripts")) / "aftertone"
