"""A place of our own to break things in: processes that end with us, and a small disk that can be filled."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
INSIDE = "AFTERTONE_CHAOS_NAMESPACE"


def enter(arguments: Sequence[str]) -> bool:
    """Run this command again in new user, mount and process namespaces, in place of this process.

    Inside, this process adopts whatever others leave behind, sees no process but those it started, and takes them all
    along when it ends, however it ends. Returns whether we are inside; False where the system allows no namespaces.
    """
    if INSIDE in os.environ:
        return True
    try:
        possible = subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        possible = False
    if possible:
        os.environ[INSIDE] = "1"
        os.execvp(UNSHARE[0], [*UNSHARE, sys.executable, "-m", "tests.chaos", *arguments])
    return False


def mount_disk(folder: Path, megabytes: int) -> None:
    """Put an empty disk of that size at `folder`; only possible inside."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "chaos", str(folder)], check=True)
