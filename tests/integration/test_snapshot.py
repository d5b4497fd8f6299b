"""Reading a project from a real Label Studio: what changed, and only that, adds up to what a full read shows."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from aftertone.errors import LabelStudioError
from aftertone.labelstudio.client import LabelStudio
from aftertone.labelstudio.snapshot import read_snapshot
from aftertone.labelstudio.tasks import Snapshot, TaskCache
from aftertone.settings import Settings
from tests.integration.server import Annotator, Server, tone, wav


@pytest.fixture
def settings(label_studio: Server, tmp_path: Path) -> Settings:
    token = SecretStr(label_studio.admin_token)
    url = label_studio.url
    return Settings(label_studio_url=url, label_studio_api_key=token, model_dir=tmp_path)  # pyright: ignore[reportCallIssue] -- pydantic's defaults


def connect(settings: Settings) -> LabelStudio:
    return LabelStudio(settings.label_studio_url, settings.label_studio_api_key.get_secret_value())


@pytest.fixture
def anna(label_studio: Server) -> Annotator:
    return label_studio.annotator()


@pytest.fixture
def client(settings: Settings) -> Iterator[LabelStudio]:
    with closing(connect(settings)) as client:
        yield client


@pytest.fixture
def read(client: LabelStudio) -> Callable[[int], Snapshot]:
    """Reads incrementally, and checks the result against a read that starts from nothing."""
    caches: dict[int, TaskCache] = {}

    def both(project: int) -> Snapshot:
        snapshot, caches[project] = read_snapshot(client, project, caches.get(project, TaskCache()))
        assert snapshot == read_snapshot(client, project, TaskCache())[0]
        return snapshot

    return both


def whoami(settings: Settings, **fields: Any) -> dict[str, Any]:
    """Who Label Studio thinks we are, under changed settings."""
    with closing(connect(settings.model_copy(update=fields))) as client:
        return client.whoami()


def test_every_change_shows_in_the_next_read(
    label_studio: Server, anna: Annotator, read: Callable[[int], Snapshot]
) -> None:
    project = label_studio.project(4)
    first, second, third, fourth = label_studio.tasks(project)
    assert [task.answer.votes for task in read(project).tasks.values()] == [{}, {}, {}, {}]

    annotation = anna.choose(first, "happy")
    anna.skip(second)
    snapshot = read(project)
    assert snapshot.tasks[first].answer.votes == {"happy": 1}
    assert snapshot.tasks[second].answer.skipped

    region = {"from_name": "emotion", "to_name": "audio", "type": "choices", "value": {"choices": ["sad"]}}
    anna.session.patch(f"/api/annotations/{annotation}/", {"result": [region]})
    assert read(project).tasks[first].answer.votes == {"sad": 1}

    bert = label_studio.annotator()
    bert.choose(first, "angry")
    assert read(project).tasks[first].answer.votes == {"sad": 1, "angry": 1}

    anna.session.delete(f"/api/annotations/{annotation}/")
    assert read(project).tasks[first].answer.votes == {"angry": 1}

    label_studio.session.delete(f"/api/tasks/{third}/")
    assert list(read(project).tasks) == [first, second, fourth]

    label_studio.session.delete(f"/api/tasks/{fourth}/")
    added = label_studio.add_tasks(project, label_studio.folder(project), {"new.wav": wav(tone(99))})
    assert list(read(project).tasks) == added
    assert len(added) == 3


def test_one_more_label_is_read_with_small_requests(
    label_studio: Server,
    anna: Annotator,
    client: LabelStudio,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = label_studio.project(3)
    _, cache = read_snapshot(client, project, TaskCache())
    asked: list[list[int] | None] = []
    export = client.export
    monkeypatch.setattr(client, "export", lambda p, ids=None: asked.append(ids) or export(p, ids))
    read_snapshot(client, project, cache)
    task = label_studio.tasks(project)[1]
    anna.choose(task, "happy")
    read_snapshot(client, project, cache)
    assert asked == [[], [task]]


def test_a_look_after_an_import_asks_for_what_is_newer(
    label_studio: Server, client: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once Label Studio's clock says that all of the import must have been visible."""
    project = label_studio.project(3)
    _, cache = read_snapshot(client, project, TaskCache())
    answered_at = client.answered_at
    assert answered_at is not None
    later = answered_at + timedelta(seconds=7)
    monkeypatch.setattr(LabelStudio, "answered_at", later)
    _, cache = read_snapshot(client, project, cache)
    listed: list[dict[int, str]] = []
    moments = client.task_moments
    monkeypatch.setattr(client, "task_moments", lambda *asked: listed.append(moments(*asked)) or listed[-1])
    read_snapshot(client, project, cache)
    assert listed == [{}]


def test_settings_of_the_project_are_read(label_studio: Server, read: Callable[[int], Snapshot]) -> None:
    project = label_studio.project(1)
    label_studio.session.patch(
        f"/api/projects/{project}/", {"sampling": "Uncertainty sampling", "maximum_annotations": 2}
    )
    snapshot = read(project)
    assert (snapshot.sampling, snapshot.overlap, snapshot.model_version) == ("Uncertainty sampling", 2, "")
    assert snapshot.question.control == "emotion"
    assert {"neutral", "happy", "angry", "sad"} <= set(snapshot.question.classes)


def test_both_kinds_of_token_work(label_studio: Server, settings: Settings) -> None:
    for token in (label_studio.admin_token, label_studio.legacy_token):
        assert whoami(settings, label_studio_api_key=SecretStr(token))["email"] == label_studio.account.email


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "LABEL_STUDIO_API_KEY is empty"),
        ("nonsense", "Personal Access Token"),
        ("access", "short-lived access token"),
    ],
)
def test_a_wrong_token_says_what_to_set(client: LabelStudio, settings: Settings, token: str, said: str) -> None:
    if token == "access":
        token = client.authorization().removeprefix("Bearer ")
    with pytest.raises(LabelStudioError, match=said):
        whoami(settings, label_studio_api_key=SecretStr(token))


def test_legacy_tokens_switched_off_are_named(label_studio: Server, settings: Settings) -> None:
    label_studio.session.post("/api/jwt/settings", {"api_tokens_enabled": True, "legacy_api_tokens_enabled": False})
    try:
        with pytest.raises(LabelStudioError, match="legacy tokens switched off"):
            whoami(settings, label_studio_api_key=SecretStr(label_studio.legacy_token))
    finally:
        label_studio.session.post("/api/jwt/settings", {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True})


def test_a_server_that_is_not_there_is_named_with_its_setting(settings: Settings) -> None:
    with pytest.raises(LabelStudioError, match="LABEL_STUDIO_URL"):
        whoami(settings, label_studio_url="http://127.0.0.1:1")


def test_a_project_that_is_not_there_is_named(client: LabelStudio) -> None:
    with pytest.raises(LabelStudioError, match="doesn't exist"):
        client.project(999_999)
