"""The server that is attacked: a real `aftertone serve` with a served round, watched from outside."""

import base64
import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from aftertone.demo.server import free_port
from aftertone.labelstudio.label_config import SMALLEST_CONFIG
from aftertone.store.project import Store
from aftertone.store.records import Connection, Source, Sources
from aftertone.store.round_scores import Score
from tests.fuzz.bodies import ACCESS_TOKEN
from tests.unit.aftertone.records import make_round

USER, PASSWORD, TOKEN, SECRET = "fuzz", "p4ssw0rd-of-the-test", "token-of-the-test", "webhook-secret-of-the-test"
SIGNED = "http://bucket.test/a.wav?X-Amz-Signature=5ecre7"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = (PASSWORD, TOKEN, SECRET, "5ecre7", BASIC, ACCESS_TOKEN)  # which the log may never hold


@dataclass(kw_only=True)
class Server:
    """A running server and what was seen of it."""

    port: int
    log: Path
    process: psutil.Process
    health: list[float] = field(default_factory=list)  # seconds that /health took, over connections of its own
    unanswered: int = 0  # times that it didn't answer with 200 within 5 s
    memory: list[int] = field(default_factory=list)  # resident bytes

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def look(self) -> None:
        """Ask /health, and see how much memory is used."""
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            up = connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            up = False
        finally:
            connection.close()
        self.unanswered += not up
        self.health.append(time.perf_counter() - began)
        with suppress(psutil.Error):
            self.memory.append(self.process.memory_info().rss)

    def leaks(self) -> list[str]:
        """Secrets that the log holds."""
        said = self.log.read_text(errors="replace")
        return [secret for secret in SECRETS if secret in said]


@contextmanager
def running(folder: Path, *, password: bool) -> Iterator[Server]:
    """A server with project 1, looked at twice a second until the block ends."""
    folder.mkdir()
    fill(folder / "model")
    port = free_port()
    environment = {
        **os.environ, "MODEL_DIR": str(folder / "model"), "HOST": "127.0.0.1", "PORT": str(port), "REDIS_URL": "",
        "LABEL_STUDIO_API_KEY": TOKEN, "BASIC_AUTH_USER": USER if password else "", "BASIC_AUTH_PASS": PASSWORD,
    }  # fmt: skip
    log = folder / "serve.log"
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, "-m", "aftertone", "serve"], env=environment, stderr=output)
    server, over = Server(port=port, log=log, process=psutil.Process(process.pid)), threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            server.look()

    try:
        while process.poll() is None and "Serving on" not in log.read_text():
            time.sleep(0.1)
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield server
        finally:
            over.set()
            watcher.join()
    finally:
        process.terminate()
        process.wait(20)


def fill(model_dir: Path) -> None:
    """A store with project 1, its secret and a served round."""
    store = Store(model_dir).project(1)
    store.connect(Connection(project=1, label_config=SMALLEST_CONFIG, url="http://127.0.0.1:9090"))
    store.set_webhook_secret(SECRET)
    store.save(Sources(sources={SIGNED: Source(clip="a", seconds=1.0, at=1.0)}))
    record = make_round(1, kind="trained", classes=("neutral", "happy"))
    scores = [
        Score(task=i, clip=f"c{i}", rank=i, acquisition=0.5, cluster=None, predictions=(0.3, 0.7)) for i in range(1, 21)
    ]
    store.save_draft(record, lambda model: model.mkdir())
    store.complete_round(record, scores)
    store.set_current(1)
