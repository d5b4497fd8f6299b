"""A project in the real Label Studio with Aftertone connected to it, driven step by step."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

from backend import jobs
from backend.advance import Advance
from backend.settings import Settings, load_settings
from backend.store import Connection, ProjectStore, Store
from tests.integration.conftest import Annotator, Server, tone, wav

LABELS = ("neutral", "happy", "angry", "sad")


@dataclass(frozen=True, kw_only=True)
class Loop:
    """One project and its store."""

    server: Server
    project: int
    settings: Settings
    anna: Annotator = field(repr=False)

    @property
    def store(self) -> ProjectStore:
        return Store(self.settings.model_dir).project(self.project)

    def advance(self) -> None:
        """Do everything that can be done now, in this process, as a worker's job would."""
        Advance(self.project, self.settings).run()

    def label(self, count: int, by: Annotator | None = None) -> list[int]:
        """Label the next `count` tasks of the queue; returns their ids in the order in which they were served."""
        annotator = by or self.anna
        served = []
        for _ in range(count):
            task = annotator.next_task(self.project)
            assert task is not None, "the queue is empty"
            annotator.choose(task, LABELS[task % len(LABELS)])
            served.append(task)
        return served

    def project_row(self) -> dict[str, Any]:
        return self.server.session.get(f"/api/projects/{self.project}/")

    def predictions(self) -> list[dict[str, Any]]:
        return self.server.session.get("/api/predictions", project=self.project)

    def problem(self) -> str:
        found = self.store.problem()
        return found.message if found else ""

    def check_queue(self) -> None:
        """The served round is published whole, once, and the project points to it."""
        assert self.problem() == ""
        assert self.store.current is not None
        record = self.store.round(self.store.current)
        row = self.project_row()
        assert row["model_version"] == record.version
        assert row["sampling"] == "Uncertainty sampling"
        existing = set(self.server.tasks(self.project))
        published = [(p["model_version"], p["task"]) for p in self.predictions()]
        assert sorted(published) == sorted((record.version, task) for task in record.published if task in existing)


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
    load_settings.cache_clear()
    jobs.connect.cache_clear()
    try:
        yield
    finally:
        if jobs.connect.cache_info().currsize and not load_settings().redis_url:
            jobs.connect().shutdown(nosave=True)
        jobs.connect.cache_clear()
        load_settings.cache_clear()


def more_files(loop: Loop, count: int, start: int = 500) -> list[int]:
    """Import more audio into the project; returns the new task ids."""
    before = set(loop.server.tasks(loop.project))
    files = {f"more-{i}.wav": wav(tone(i)) for i in range(start, start + count)}
    return [t for t in loop.server.add_tasks(loop.project, loop.server.folder(loop.project), files) if t not in before]
