"""Label Studio's own Python environment: its pinned packages would fight with ours in one."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from aftertone.demo.errors import DemoError

LOCK = Path(__file__).with_name("label-studio.lock")  # a link to the one in docker/
INSTALL_SECONDS = 1800  # about 130 packages, 350 MB: half an hour is a very slow line


def label_studio_command(folder: Path) -> Path:
    """Path of the `label-studio` command; on first use installs the locked packages into `folder`.

    `LABEL_STUDIO_BIN` names a command that is already there and is then used as it is. An installation that was
    interrupted, or made from another lock, is made anew.

    Raises:
        DemoError: there is no installer, or the installation fails.
    """
    if given := os.environ.get("LABEL_STUDIO_BIN"):
        if not os.access(given, os.X_OK):
            raise DemoError(f"LABEL_STUDIO_BIN={given} is no command that can be run; correct or unset it.")
        return Path(given)
    command, seal = folder / "bin" / "label-studio", folder / "label-studio.lock.sha256"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if command.exists() and seal.exists() and seal.read_text() == digest:
        return command
    _install(folder)
    seal.write_text(digest)  # last, so that an installation cut short is never taken for a whole one
    return command


def _install(folder: Path) -> None:
    try:
        from uv import find_uv_bin
    except ImportError as missing:
        raise DemoError(
            "The demo installs Label Studio with uv, which is missing: `make setup` or `pip install aftertone[demo]`."
        ) from missing
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    uv, quietly = find_uv_bin(), ("--quiet", "--require-hashes")
    _run([uv, "venv", "--quiet", "--python", sys.executable, folder])
    _run([uv, "pip", "install", *quietly, "--python", folder / "bin" / "python", "-r", LOCK])


def _run(command: list[str | Path]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired as late:
        raise DemoError(
            f"Installing Label Studio took more than {INSTALL_SECONDS // 60} minutes. Check the connection to the "
            "package index and run the same command again; what was downloaded is kept."
        ) from late
    if done.returncode:
        raise DemoError(
            f"Label Studio could not be installed:\n{done.stderr.strip()}\n"
            "Check that the package index can be reached and run the same command again."
        )


if __name__ == "__main__":
    print(label_studio_command(Path(sys.argv[1])))
