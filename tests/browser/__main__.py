"""Look at the status page in Chromium: `python -m tests.browser [PICTURES]`, by default docs/images.

Needs Chromium (CHROMIUM, by default /usr/bin/chromium), Node.js, and a folder with playwright-core and axe-core:
`npm install --prefix FOLDER playwright-core axe-core`, then NODE_PATH=FOLDER. `look.mjs` says what it checks.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvicorn
from PIL import Image

from aftertone import archive
from aftertone.demo.server import free_port
from aftertone.page import children
from aftertone.page.listening import Heard, file_of
from aftertone.page.sounds import wav
from aftertone.server.app import create_app
from aftertone.settings import Settings
from aftertone.store.exports import ExportFolder
from aftertone.store.project import ProjectStore, Store
from aftertone_model.data.decoders import Decoders
from aftertone_model.errors import AftertoneError
from tests.unit.aftertone.made_store import make_project
from tests.unit.aftertone.records import FakeJobs

HERE = Path(__file__).parent
SOUND = (8_000 * np.sin(np.arange(24_000) / 20)).astype(np.int16)  # of the file that is searched by
PICTURES = HERE.parents[1] / "docs" / "images"


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """The address of a server that runs while the block does."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(create_app(settings, FakeJobs()), port=port, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"http://localhost:{port}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


def standin(store: ProjectStore) -> None:
    """Do what the page's processes do, in this one and without a model, which a made project lacks."""

    async def run(module: str, arguments: Sequence[str], settings: Settings, given: bytes, *, seconds: float) -> bytes:
        assert arguments
        assert seconds
        if module == archive.__name__:
            return b"task,clip\n"
        try:
            with tempfile.TemporaryFile() as file, Decoders(1) as decoders:
                file.write(file_of(given))
                samples = decoders.decode(file, max_seconds=settings.max_clip_seconds)
        except AftertoneError as error:
            return Heard(error=str(error)).model_dump_json().encode()
        heard = Heard(seconds=len(samples) / 16_000, components=(1.0,) * 8, predictions=(0.1, 0.6, 0.2, 0.1))
        return heard.model_dump_json().encode()

    def start(module: str, arguments: Sequence[str], settings: Settings) -> None:
        assert module == archive.__name__
        assert settings
        threading.Timer(2.0, make, arguments[1:]).start()

    def make(format: str) -> None:
        exports = ExportFolder(store)
        with exports.making() as scratch:
            (scratch / "model").write_bytes(b"a model")
            name, record = f"aftertone-project-1-{format}.zip", store.rounds()[-1]
            exports.ready(
                format, scratch / "model", name, time.time(), number=record.number, version=record.version
            )  # fmt: skip

    children.run, children.start = run, start


def main() -> int:
    """Serve a made project and run `look.mjs` on it."""
    pictures = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(model_dir=Path(folder))  # pyright: ignore[reportCallIssue] -- pydantic's defaults
        store = make_project(settings.model_dir, clips=600, rounds=10, sounds=True)
        sound = Path(folder, "sound.wav")
        sound.write_bytes(wav(SOUND))
        standin(store)
        with Store(settings.model_dir).running.enter("worker", {}, {}), served(settings) as address:
            files = {"PROGRESS": str(store.folder / "progress.json"), "SOUND": str(sound)}
            environment = {**os.environ, **files}
            command = ["node", str(HERE / "look.mjs"), address, str(pictures)]
            code = subprocess.run(command, env=environment, check=False).returncode
    for file in pictures.glob("status-page*.png"):
        Image.open(file).quantize(96).save(file, optimize=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
