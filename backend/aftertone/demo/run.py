"""`aftertone demo`: the open queue, and who labels from it: a person, or an oracle that measures the loop."""

import sys
import time
from pathlib import Path

from aftertone.demo.check_export import run_export, try_export
from aftertone.demo.console import Console
from aftertone.demo.errors import DemoError
from aftertone.demo.interrupts import interrupts_raised
from aftertone.demo.oracle import Oracle, ServingLog
from aftertone.demo.processes import Processes
from aftertone.demo.report import RoundReport, line, report_round, write_report
from aftertone.demo.setup import OpenQueue, Setup
from aftertone.demo.state import only_demo
from aftertone.labelstudio.client import LabelStudio
from aftertone_model.errors import AftertoneError

ANNOTATORS = 2  # of the oracle, who label in turn
VOICE = 20  # clips of one speaker that the exported model is tried on
INTERRUPTED = 130  # exit status, as the shell has it


def demo(*, audio: Path | None, limit: int | None, oracle: bool, rounds: int, folder: Path) -> int:
    """Run the demo in `folder`.

    Args:
        audio: a folder or a manifest.csv; None has clips spoken.
        limit: most clips that are used; None for all.
        oracle: label from the manifest until `rounds` trained rounds are published, instead of waiting for a person.

    Returns:
        The exit status. A person's demo ends at Ctrl-C, with 0 once the queue was open. An oracle's ends with 0 if
        every task was served in the published order and the exported model works, else with 1.
    """
    began = time.monotonic()
    console = Console()
    folder = folder.resolve()
    person_labels = False
    try:
        with interrupts_raised(), only_demo(folder):
            processes = Processes(folder)
            processes.end_leftovers()
            try:
                setup = Setup(folder, console, processes)
                queue = setup.open(audio, limit, labelled=oracle)
                if not oracle:
                    person_labels = True
                    _serve_person(queue, console)
                annotators = [LabelStudio(queue.server.url, one.token) for one in setup.annotators(queue, ANNOTATORS)]
                reports = _serve_oracle(queue, console, annotators, folder / "oracle", rounds)
                _finish(queue, console, folder, reports, began)
                return 0
            finally:
                with console.step("Ending every process"):
                    processes.end()
    except KeyboardInterrupt:
        console.say("\nStopped. Nothing is lost: the same command goes on from here.")
        return 0 if person_labels else INTERRUPTED
    except AftertoneError as error:
        print(f"\naftertone demo: {error}", file=sys.stderr)
        return 1


def _serve_person(queue: OpenQueue, console: Console) -> None:
    """Show each round as it comes, until Ctrl-C."""
    store = queue.store
    console.say(
        '  Sign in and press "Label All Tasks": the clips that teach most come first. After every\n'
        f"  {store.round(store.current or 0).batch} labels Aftertone trains and puts the queue in a new order.\n"
        "  Ctrl-C ends everything and keeps it for the next start.\n"
    )
    while True:
        shown = store.current
        if shown is not None:
            console.say(line(report_round(store.round(shown), ())))
        queue.watch.until(lambda shown=shown: store.current != shown, patient=True)


def _serve_oracle(
    queue: OpenQueue, console: Console, annotators: list[LabelStudio], folder: Path, rounds: int
) -> list[RoundReport]:
    """Label until `rounds` trained rounds are published, and look at the first tasks of the last one."""
    log = ServingLog(folder / f"project-{queue.project}.jsonl")
    oracle = Oracle(annotators, queue.project, queue.corpus.answers(queue.server.documents), queue.store, log)
    for number in range(rounds + 1):
        queue.watch.until_round(number)
        record = queue.store.round(number)
        if queue.store.current == number < rounds:
            with console.step(f"Labelling {record.batch} clips") as bar:
                oracle.label(record, bar)
        elif queue.store.current == number:
            for annotator in range(len(annotators)):
                oracle.open_next(annotator, record)
        console.say(line(report_round(record, log)))
    return [report_round(queue.store.round(number), log) for number in queue.store.round_numbers()]


def _finish(queue: OpenQueue, console: Console, folder: Path, reports: list[RoundReport], began: float) -> None:
    """Export the model, try it, write report.json.

    Raises:
        DemoError: a task was served out of order, or the export doesn't work.
    """
    export, report, clip = folder / "export", folder / "report.json", queue.corpus.rows[0]
    with console.step("Exporting the model and trying it"):
        run_export(queue.project, export, queue.environment)
        voice = [row.path for row in queue.corpus.rows[1:] if clip.speaker and row.speaker == clip.speaker]
        tried = try_export(export, [clip.path, *voice][:VOICE])
    write_report(
        report, reports, label_studio=str(queue.label_studio.get("/api/version")["release"]), corpus=queue.corpus.title,
        clips=len(queue.corpus.rows), seconds=time.monotonic() - began, export=str(export),
    )  # fmt: skip
    said = ", ".join(f"{label} with probability {share:.2f} ({way})" for way, (label, share) in tried.items())
    console.say(
        f"\n  model          {export}\n"
        f"                 {clip.path.name}: {said}; its label is {clip.emotion}\n"
        f"  report         {report}\n"
    )
    if out_of_order := sum(len(one.out_of_order) for one in reports):
        raise DemoError(
            f"{out_of_order} tasks were not served in the published order; {report} lists them under `out_of_order`. "
            "Did someone else label in this project meanwhile?"
        )
