"""A Redis that isn't Aftertone's own: on a TCP port, with a password, killed and started again as tests like."""

import subprocess
from dataclasses import dataclass, field

import redis

from aftertone.demo.server import free_port
from aftertone.pipeline.embedded_redis import executable
from tests.integration.loop import wait_for

PASSWORD = "s3cret"


@dataclass(kw_only=True)
class RedisServer:
    """It keeps nothing on disk, so that it is empty after each start."""

    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def connection(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def start(self) -> None:
        """Return once it answers."""
        options = ["--port", str(self.port), "--requirepass", PASSWORD, "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([executable(), *options], stdout=subprocess.DEVNULL)
        wait_for(self._answers, 20)

    def kill(self) -> None:
        """End it without warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        try:
            return bool(self.connection.ping())
        except redis.ConnectionError:
            return False
