"""Fixtures of the integration tests: one Label Studio, made once, and loops of Aftertone around projects in it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from aftertone.demo.accounts import open_account
from aftertone.demo.environment import label_studio_command
from aftertone.demo.processes import Processes
from aftertone.demo.server import free_port, start_label_studio
from aftertone.labelstudio.client import LabelStudio
from aftertone.pipeline.embedded_redis import embedded_redis
from aftertone.pipeline.jobs import JobQueue
from aftertone.settings import Settings, load_settings
from aftertone.store.records import Connection
from tests import backbones
from tests.integration.loop import Loop
from tests.integration.server import Server

REPOSITORY = Path(__file__).parents[2]
ADMIN = ("admin@example.com", "a-password-for-tests")


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, its administrator and a legacy token that works."""
    folder = tmp_path_factory.mktemp("label-studio")
    email, password = ADMIN
    processes = Processes(folder)
    command = label_studio_command(REPOSITORY / ".demo" / "label-studio-env")
    try:
        server = start_label_studio(
            processes, command, folder, port=free_port(), email=email, password=password, secret_key="0" * 50
        )
        account = open_account(server.url, email, password)
        session = LabelStudio(server.url, account.token)
        session.post("/api/jwt/settings", {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True})
        legacy = session.get("/api/current-user/token")["token"]
        yield Server(server=server, account=account, legacy_token=legacy, session=session)
        session.close()
    finally:
        processes.end()


@pytest.fixture(scope="session")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local checkpoint small enough to adapt and train in a second."""
    return backbones.nano(tmp_path_factory.mktemp("backbone") / "nano")


@pytest.fixture
def make_loop(label_studio: Server, nano: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes loops: `make_loop(tasks or files, settings...)`."""
    environment = {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.admin_token,
        "MODEL_DIR": str(tmp_path / "model"),
        "BACKBONE": str(nano),
        "SETTLE_SECONDS": "0",
        "RECONCILE_SECONDS": "3",
        "SEED_SIZE": "6",
        "BATCH_SIZE": "6",
        "REDIS_URL": os.environ.get("REDIS_URL", ""),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    with job_queue(settings) as jobs:

        def make(files: Mapping[str, bytes] | int = 24, *, config: str | None = None, **extra: Any) -> Loop:
            project = label_studio.project(files, config=config)
            loop = Loop(
                server=label_studio, project=project, settings=settings, jobs=jobs, anna=label_studio.annotator()
            )
            row = loop.project_row()
            loop.store.connect(Connection(project=project, label_config=row["label_config"], extra_params=extra))
            return loop

        yield make


@contextmanager
def job_queue(settings: Settings) -> Iterator[JobQueue]:
    """The queue of these settings; where its Redis is an embedded one, that is this process's and ends here."""
    with nullcontext() if settings.redis_url else embedded_redis(settings.model_dir):
        yield JobQueue.connect(settings.redis_url, settings.model_dir)
