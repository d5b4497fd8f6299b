"""The tutorial, played: `python -m tests.browser.tutorial [PICTURES]` prints what its commands say and takes pictures.

A real Label Studio, as `make demo` starts it, with Aftertone connected. Chromium signs in, opens each page and labels a
clip; the other clips of the seed set get their labels from the manifest. It needs what `tests.browser` needs, but no
axe-core; `tutorial.mjs` has the pages. Pictures go to docs/images.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from aftertone.demo.console import Console
from aftertone.demo.oracle import Oracle, ServingLog
from aftertone.demo.processes import AFTERTONE, Processes
from aftertone.demo.setup import OpenQueue, Setup
from aftertone.demo.state import StateFile
from aftertone.labelstudio.client import LabelStudio

HERE = Path(__file__).parent
PICTURES = HERE.parents[1] / "docs" / "images"
AFTERWARDS = (
    ("status", "1"),
    ("rounds", "1"),
    ("export", "1", "--out", "my-model"),
    ("predictions", "1", "--out", "emotions.csv"),
    ("predict", "my-model", ".demo/speech", "--out", "predicted.csv"),
    ("doctor", "1"),
)
"""What the tutorial has people type once a round is trained."""


def browse(queue: OpenQueue, password: str, pictures: Path, part: str) -> None:
    """Have Chromium go through one part of the tutorial."""
    backend = f"http://localhost:{queue.environment['PORT']}"
    page = ["node", str(HERE / "tutorial.mjs"), part, queue.server.url, str(queue.project), backend, str(pictures)]
    subprocess.run(page, env={**os.environ, "PASSWORD": password}, check=True)


def label(queue: OpenQueue, folder: Path) -> None:
    """Label as many clips as the round waits for, as the person who signed in, and wait for the next round."""
    record = queue.store.round(0)
    person = LabelStudio(queue.server.url, queue.environment["LABEL_STUDIO_API_KEY"])
    answers = queue.corpus.answers(queue.server.documents)
    log = ServingLog(folder / "served.jsonl")
    Oracle([person], queue.project, answers, queue.store, log).label(record, lambda _done, _total: None)
    person.close()
    queue.watch.until_round(1)


def say(command: tuple[str, ...], queue: OpenQueue, folder: Path) -> None:
    """Run a command where the demo's folder lies, and print what a person sees."""
    environment = {**queue.environment, "COLUMNS": "120"}
    done = subprocess.run([*AFTERTONE, *command], cwd=folder, env=environment, capture_output=True, text=True)
    said = (done.stdout + done.stderr).replace(f"{folder}/", "")
    print(f"$ aftertone {' '.join(command)}\n{said}(exit code {done.returncode})\n")


def main() -> int:
    """Play it in a folder that is removed afterwards."""
    pictures = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        demo = folder / ".demo"
        demo.mkdir()
        processes = Processes(demo)
        try:
            queue = Setup(demo, Console(), processes).open(None, None, labelled=False)
            password = StateFile(demo / "state.json").state.password
            browse(queue, password, pictures, "label")
            label(queue, folder)
            browse(queue, password, pictures, "look")
            for command in AFTERWARDS:
                say(command, queue, folder)
        finally:
            processes.end()
    for file in pictures.glob("tutorial-*.png"):
        Image.open(file).convert("RGB").save(file, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
