"""Two rounds in the real Label Studio, hosted by label-studio-ml from the folder that `aftertone host` writes.

1.0.9 is on PyPI and always tried. 2.x is on GitHub alone; `make hosts` tries it too: LABEL_STUDIO_ML names what is
installed then. Each lives in an environment of its own, to which a .pth file lends ours.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from sysconfig import get_path
from typing import Any

import httpx
import pytest
from uv import find_uv_bin

from aftertone.demo.server import free_port
from aftertone.labelstudio.client import RefusedError
from tests.integration.conftest import REPOSITORY
from tests.integration.loop import Loop, wait_for
from tests.integration.test_connection import connection, woken, work

HOSTS = {"1.0.9": "label-studio-ml==1.0.9"}
if source := os.environ.get("LABEL_STUDIO_ML"):
    HOSTS[source] = source
MISSING_HERE = ("colorama", "semver")  # what 2.x needs beside what we have


@pytest.fixture(scope="module", params=HOSTS)
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with one version of label-studio-ml."""
    folder = tmp_path_factory.mktemp("host-env") / "env"
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, folder], check=True)
    python = folder / "bin" / "python"
    packages = Path(get_path("purelib", vars={"base": str(folder)}))
    lent = [get_path("purelib"), *(str(REPOSITORY / name) for name in ("backend", "model"))]
    (packages / "lent.pth").write_text("\n".join(lent))
    if request.param != "1.0.9":  # which is among those lent
        install = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--python", str(python)]
        subprocess.run([*install, *MISSING_HERE, HOSTS[request.param]], check=True)
    return python


@pytest.fixture
def hosted(python: Path, make_loop: Any, tmp_path: Path) -> Iterator[tuple[Loop, str]]:
    """A project that isn't connected, and a host that knows nothing of it."""
    loop: Loop = make_loop(24)
    shutil.rmtree(loop.store.folder)
    folder, port = tmp_path / "host", free_port()
    subprocess.run([python, "-m", "aftertone", "host", folder], check=True, capture_output=True)
    log = tmp_path / "host.log"
    command = [python, folder / "_wsgi.py", "--port", str(port)]
    with log.open("wb") as out:
        server = subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=out)
    try:
        wait_for(lambda: server.poll() is not None or answers(port))
        assert server.poll() is None, log.read_text()
        yield loop, f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=1, trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_two_rounds_from_connecting_on(hosted: tuple[Loop, str], tmp_path: Path) -> None:
    loop, url = hosted
    api = loop.server.session
    model = {"url": url, "project": loop.project, "title": "Aftertone"}
    with pytest.raises(RefusedError, match="400 Client Error"):
        api.post("/api/ml", {**model, "extra_params": {"port": 1}})
    assert "port can't be set there" in (tmp_path / "host.log").read_text()
    for row in api.get("/api/ml", project=loop.project):  # which Label Studio may keep all the same
        api.delete(f"/api/ml/{row['id']}")

    row = api.post("/api/ml", {**model, "extra_params": {"batch_size": 5}})
    assert row["state"] == "CO"
    assert woken(loop)  # by /setup alone: nobody has labelled anything
    work(loop)
    assert connection(loop).extra_params == {"batch_size": 5}
    for labels in (6, 5):
        loop.check_queue()
        loop.label(labels)
        wait_for(lambda: woken(loop))
        work(loop)
        if loop.store.current != len(loop.store.round_numbers()) - 1 or not loop.store.current:
            loop.advance()
    loop.check_queue()
    assert loop.store.round_numbers() == [0, 1, 2]
    assert connection(loop).extra_params == {"batch_size": 5}

    record = loop.store.round(2)
    shown = api.get(f"/api/ml/{row['id']}")["model_version"]
    assert shown.partition("-")[2] == record.version.partition("-")[2]
    everything = {"selectedItems": {"all": True, "excluded": []}}
    api.post("/api/dm/actions", everything, id="retrieve_tasks_predictions", project=loop.project)
    answered = [row for row in loop.predictions() if row["model_version"] == shown]
    assert len(answered) == 24
    assert any(row["result"] for row in answered)
