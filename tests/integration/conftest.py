"""Fixtures of the integration tests: one Label Studio, made once, and loops of Aftertone around projects in it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

from aftertone.demo.accounts import open_account
from aftertone.demo.environment import label_studio_command
from aftertone.demo.processes import Processes
from aftertone.demo.server import free_port, start_label_studio
from aftertone.labelstudio.client import LabelStudio
from aftertone.pipeline import jobs
from aftertone.settings import load_settings
from aftertone.store.project import Connection
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
    folder = tmp_path_factory.mktemp("backbone") / "nano"
    config = Wav2Vec2Config(
        conv_dim=(16, 16, 16, 16, 16), conv_kernel=(20, 8, 4, 4, 4), conv_stride=(10, 4, 2, 2, 2),
        feat_extract_norm="layer", do_stable_layer_norm=True, hidden_size=32, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=64, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4,
        codevector_dim=16, proj_codevector_dim=16, num_codevectors_per_group=16, classifier_proj_size=16,
    )  # fmt: skip
    Wav2Vec2ForPreTraining(config).save_pretrained(folder)
    return folder


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
    with fresh_caches():

        def make(files: Mapping[str, bytes] | int = 24, *, config: str | None = None, **extra: Any) -> Loop:
            project = label_studio.project(files, config=config)
            loop = Loop(server=label_studio, project=project, settings=load_settings(), anna=label_studio.annotator())
            row = loop.project_row()
            loop.store.connect(Connection(project=project, label_config=row["label_config"], extra_params=extra))
            return loop

        yield make


@contextmanager
def fresh_caches() -> Iterator[None]:
    """Settings and queue are read anew inside, and forgotten after."""
    load_settings.cache_clear()
    jobs.connect.cache_clear()
    try:
        yield
    finally:
        settings = load_settings()
        if not settings.redis_url and (settings.model_dir / "redis").is_dir():
            jobs.connect().shutdown(nosave=True)  # a killed worker's last act was not to stop it
        jobs.connect.cache_clear()
        load_settings.cache_clear()
