"""What can go wrong, and how to make it go wrong. Every fault ends by itself."""

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.chaos.deployment import Deployment
from tests.chaos.proxy import Proxy

LONG_PAUSE = 35.0  # seconds: longer than anything that a worker may hold without a sign of life
LONG_PAUSES = 0.1  # share of the pauses


@dataclass(frozen=True, kw_only=True)
class Hurt:
    """A fault that has begun."""

    victim: str
    seconds: float = 0.0  # until it is undone; 0 for a kill
    undo: Callable[[], None] = lambda: None


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A kind of fault."""

    weight: float
    kill: bool  # whether it counts as one
    strike: Callable[[Deployment, random.Random], Hurt | None]  # None where there is nothing to hurt now


def _kill_server(deployment: Deployment, rng: random.Random) -> Hurt | None:
    return Hurt(victim="server") if deployment.server.kill() else None


def _kill_worker(deployment: Deployment, rng: random.Random) -> Hurt | None:
    # One that is in the middle of a job, where there is one.
    busy = [worker for worker in deployment.workers if _has_children(worker.pid)]
    worker = rng.choice(busy or deployment.workers)
    return Hurt(victim=worker.name) if worker.kill() else None


def _kill_job(deployment: Deployment, rng: random.Random) -> Hurt | None:
    return _kill(deployment.jobs(), rng, "job")


def _kill_decoder(deployment: Deployment, rng: random.Random) -> Hurt | None:
    return _kill(deployment.decoders(), rng, "decoder")


def _kill_embedded_redis(deployment: Deployment, rng: random.Random) -> Hurt | None:
    found = None if deployment.external else deployment.embedded_redis()
    return _kill([found] if found else [], rng, "embedded Redis")


def _kill_external_redis(deployment: Deployment, rng: random.Random) -> Hurt | None:
    return Hurt(victim="external Redis") if deployment.redis and deployment.redis.kill() else None


def _kill_label_studio(deployment: Deployment, rng: random.Random) -> Hurt | None:
    process = deployment.host.process
    return Hurt(victim="Label Studio") if process and deployment.host.up and process.kill(group=True) else None


def _pause_server(deployment: Deployment, rng: random.Random) -> Hurt | None:
    return _pause([deployment.server.pid], rng, "server")


def _pause_worker(deployment: Deployment, rng: random.Random) -> Hurt | None:
    return _pause([worker.pid for worker in deployment.workers], rng, "worker")


def _pause_job(deployment: Deployment, rng: random.Random) -> Hurt | None:
    return _pause([job.pid for job in deployment.jobs()], rng, "job")


def _cut(path: Callable[[Deployment], Proxy | None]) -> Callable[[Deployment, random.Random], Hurt | None]:
    def strike(deployment: Deployment, rng: random.Random) -> Hurt | None:
        proxy, how, seconds = path(deployment), rng.choice(("cut", "stall", "refuse")), rng.uniform(1, 8)
        if proxy is None or proxy.outage:
            return None
        if how == "cut":
            proxy.cut()
            return Hurt(victim=f"connections to {proxy.name} reset")
        (proxy.stall if how == "stall" else proxy.refuse)()
        return Hurt(victim=f"{proxy.name}: {how} {seconds:.0f} s", seconds=seconds, undo=proxy.mend)

    return strike


def _fill_disk(deployment: Deployment, rng: random.Random) -> Hurt | None:
    balloon, left, seconds = deployment.model_dir / "balloon", rng.choice((0, 8_192, 65_536)), rng.uniform(1, 6)
    if balloon.exists() or not os.path.ismount(deployment.model_dir):
        return None
    _blow_up(balloon, left)
    return Hurt(victim=f"disk full {seconds:.0f} s, {left} bytes left", seconds=seconds, undo=balloon.unlink)


FAULTS: Mapping[str, Fault] = {
    "kill server": Fault(weight=3, kill=True, strike=_kill_server),
    "kill worker": Fault(weight=5, kill=True, strike=_kill_worker),
    "kill job": Fault(weight=6, kill=True, strike=_kill_job),
    "kill decoder": Fault(weight=2, kill=True, strike=_kill_decoder),
    "kill embedded Redis": Fault(weight=3, kill=True, strike=_kill_embedded_redis),
    "kill external Redis": Fault(weight=3, kill=True, strike=_kill_external_redis),
    "kill Label Studio": Fault(weight=0.5, kill=True, strike=_kill_label_studio),
    "pause server": Fault(weight=0.5, kill=False, strike=_pause_server),
    "pause worker": Fault(weight=0.5, kill=False, strike=_pause_worker),
    "pause job": Fault(weight=1, kill=False, strike=_pause_job),
    "cut Label Studio": Fault(weight=1, kill=False, strike=_cut(lambda d: d.to_label_studio)),
    "cut the server": Fault(weight=0.5, kill=False, strike=_cut(lambda d: d.to_server)),
    "cut Redis": Fault(weight=1, kill=False, strike=_cut(lambda d: d.to_redis)),
    "fill the disk": Fault(weight=1, kill=False, strike=_fill_disk),
}


def draw(rng: random.Random, allowed: Mapping[str, Fault]) -> tuple[str, Fault]:
    """One of them, by weight."""
    name = rng.choices(list(allowed), [fault.weight for fault in allowed.values()])[0]
    return name, allowed[name]


def _kill(processes: list[psutil.Process], rng: random.Random, what: str) -> Hurt | None:
    if not processes:
        return None
    victim = rng.choice(processes)
    try:
        victim.kill()
    except psutil.Error:
        return None  # it ended a moment before
    return Hurt(victim=what)


def _pause(pids: list[int | None], rng: random.Random, what: str) -> Hurt | None:
    seconds = LONG_PAUSE if rng.random() < LONG_PAUSES else rng.uniform(2, 8)
    running = [pid for pid in pids if pid is not None]
    if not running:
        return None
    try:
        victim = psutil.Process(rng.choice(running))
        victim.send_signal(signal.SIGSTOP)
    except psutil.Error:
        return None

    def undo() -> None:
        with suppress(psutil.Error):  # it was killed meanwhile
            victim.send_signal(signal.SIGCONT)

    return Hurt(victim=f"{what} for {seconds:.0f} s", seconds=seconds, undo=undo)


def _blow_up(balloon: Path, left: int) -> None:
    with balloon.open("wb") as file:
        for _ in range(20):  # others write meanwhile
            disk = os.statvfs(balloon.parent)
            room = disk.f_bavail * disk.f_frsize - left
            if room <= 0:
                return
            with suppress(OSError):
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, room)
            time.sleep(0.005)


def _has_children(pid: int | None) -> bool:
    with suppress(psutil.Error):
        return pid is not None and bool(psutil.Process(pid).children())
    return False
