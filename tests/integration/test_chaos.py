"""A short run of `python -m tests.chaos`, whose long runs are for hours in which nobody waits for it."""

import os
import subprocess
import sys

import pytest

from tests.integration.conftest import REPOSITORY
from tests.integration.server import Server

FAULTS = "kill server,kill worker,kill job,cut the server"


@pytest.mark.slow
def test_nothing_is_lost_while_processes_are_killed(label_studio: Server) -> None:
    command = [
        *(sys.executable, "-m", "tests.chaos", "--kills", "6", "--seed", "1", "--redis", "embedded"),
        *("--projects", "1", "--pace", "0.8", "--faults", FAULTS, "--documents", str(label_studio.server.documents)),
    ]
    environment = {
        **os.environ,
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.admin_token,
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
