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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from PIL import Image

from aftertone.demo.server import free_port
from aftertone.server.app import create_app
from aftertone.settings import Settings
from aftertone.store.project import Store
from tests.unit.aftertone.made_store import make_project
from tests.unit.aftertone.records import FakeJobs

HERE = Path(__file__).parent
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


def main() -> int:
    """Serve a made project and run `look.mjs` on it."""
    pictures = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(model_dir=Path(folder))  # pyright: ignore[reportCallIssue] -- pydantic's defaults
        store = make_project(settings.model_dir, clips=600, rounds=10, sounds=True)
        with Store(settings.model_dir).running.enter("worker", {}, {}), served(settings) as address:
            environment = {**os.environ, "PROGRESS": str(store.folder / "progress.json")}
            command = ["node", str(HERE / "look.mjs"), address, str(pictures)]
            code = subprocess.run(command, env=environment, check=False).returncode
    for file in pictures.glob("status-page*.png"):
        Image.open(file).quantize(96).save(file, optimize=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
