"""Which worker may write to a project: a lease in the project's folder, so that the disk decides and nothing else.

Several workers on several hosts may share the folder. One of them holds the lease and renews it. Whoever takes it over
raises its token, and from then on each write of the former holder is refused, however late it wakes up. That needs of
the file system what NFSv4 has too: `flock` between hosts, and renaming at once.
"""

import errno
import logging
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from aftertone.errors import DamagedRecordError, LeaseLostError
from aftertone.store.folder import read_record, write_record
from aftertone.store.records import Part, Record

log = logging.getLogger(__name__)

RENEW_SECONDS = 5.0  # between renewals
SILENT_SECONDS = 25.0  # without a renewal, after which the lease is anybody's
LOCK_SECONDS = 25.0  # for which a write waits for another one; each takes milliseconds


class Holder(Part):
    """A process that holds the lease."""

    id: str  # of this one taking, unlike any other
    host: str  # name of the machine, for people
    boot: str  # which kernel runs it, and since which boot; '' where that can't be known
    pid_namespace: str  # in which `pid` means anything
    pid: int
    started: str  # when the process began, in clock ticks since the boot


class LeaseRecord(Record):
    """Who may write to a project; its file's time is that of the last renewal."""

    FILE = "lease.json"
    AFTER_DAMAGE = "The next worker takes the lease anew."

    token: int  # of the taking, one more each time
    holder: Holder
    released: bool = False  # its holder needs it no longer


class Lease:
    """The right to write to a project, until somebody else takes it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / LeaseRecord.FILE
        # Re-entrant within a thread, and a lock of its own for each thread.
        self._lock = FileLock(folder / "lease.lock", timeout=LOCK_SECONDS, poll_interval=0.01, fallback_to_soft=False)
        self._held: LeaseRecord | None = None
        self._over = threading.Event()
        self._renewal = threading.Thread(target=self._keep_renewing, name="lease", daemon=True)

    def take(self) -> bool:
        """Take the lease unless somebody living has it; from then on it is renewed. Returns whether it was taken."""
        try:
            with self._lock.acquire(timeout=RENEW_SECONDS):
                found = self._found()
                if found is not None and not found.released and not ended(found.holder) and not self._silent():
                    return False
                self._held = LeaseRecord(token=found.token + 1 if found else 1, holder=this_process())
                self._write(self._held)
        except Timeout:
            return False  # somebody is writing, or was stopped while doing so
        self._renewal.start()
        return True

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Around the moment in which a write takes effect: nobody can take the lease meanwhile.

        Raises:
            LeaseLostError: the lease is another's; nothing may be written.
        """
        if not self._folder.exists():
            raise LeaseLostError("The project's folder was removed.")
        try:
            self._lock.acquire()
        except Timeout:
            raise LeaseLostError("The project's lease.lock stays held by a process that doesn't go on.") from None
        try:
            if (found := self._found()) != self._held:
                taken = f"by process {found.holder.pid} on {found.holder.host}" if found else "away"
                raise LeaseLostError(f"The project was taken {taken}.")
            yield
        finally:
            self._lock.release()

    def release(self) -> None:
        """Let the next worker have it at once."""
        self._over.set()
        self._renewal.join()
        try:
            with self.guard():
                if self._held is not None:
                    self._write(self._held.model_copy(update={"released": True}))
        except LeaseLostError:
            pass  # whoever has it needs nothing from us
        except OSError as error:
            log.warning("The project's lease can't be given back: %s", error, extra={"action": "lease_not_released"})

    def _write(self, record: LeaseRecord) -> None:
        try:
            write_record(self._folder, record)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._file.exists():
                raise
            self._file.unlink()  # whose room is enough, so that a full disk can be cleaned
            write_record(self._folder, record)

    def _found(self) -> LeaseRecord | None:
        try:
            return read_record(LeaseRecord, self._file)
        except (FileNotFoundError, DamagedRecordError):
            return None

    def _silent(self) -> bool:
        """Whether the holder hasn't renewed it for long, by the clock of the file system, which all hosts share.

        That clock may jump. Then a living holder may lose its lease, but never does a dead one keep it.
        """
        os.utime(self._lock.lock_file)
        with self._file.open("rb") as file:  # opening asks a network's file server for the time as it is now
            renewed = os.fstat(file.fileno()).st_mtime
            now = Path(self._lock.lock_file).stat().st_mtime
        return abs(now - renewed) > SILENT_SECONDS

    def _keep_renewing(self) -> None:
        while not self._over.wait(RENEW_SECONDS):
            try:
                with self.guard():
                    os.utime(self._file)
            except LeaseLostError:
                return  # the next write says so
            except OSError as error:
                log.warning("The project's lease can't be renewed: %s", error, extra={"action": "lease_not_renewed"})


@contextmanager
def hold(folder: Path) -> Iterator[Lease | None]:
    """Hold the lease of a project's folder while the block runs; gives None where another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    lease = Lease(folder)
    if not lease.take():
        yield None
        return
    try:
        yield lease
    finally:
        lease.release()


def this_process() -> Holder:
    """This process as the holder of a lease that it takes now."""
    return Holder(
        id=uuid.uuid4().hex,
        host=socket.gethostname(),
        boot=_boot(),
        pid_namespace=_pid_namespace(),
        pid=os.getpid(),
        started=_started(os.getpid()),
    )


def ended(holder: Holder) -> bool:
    """Whether a holder is known to live no more; False where this process can't know."""
    here = (_boot(), _pid_namespace(), socket.gethostname())
    if not holder.boot or (holder.boot, holder.pid_namespace, holder.host) != here:
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # somebody else's process
    return _started(holder.pid) not in (holder.started, "")


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process began; 'ended' for one that only waits to be taken note of, '' where that can't be known."""
    try:
        # The second field, the program's name, may itself hold spaces and brackets.
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "ended" if state in "ZX" else rest[18]
