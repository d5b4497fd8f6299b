"""Events, in whatever protocol they arrive."""

import pytest

from aftertone.errors import LabelConfigError, SettingsError
from aftertone.labelstudio.label_config import SMALLEST_CONFIG
from aftertone.server.events import Events, project_id
from aftertone.settings import Settings
from aftertone.store.project import Store
from aftertone.store.records import Connection
from aftertone_model.errors import AftertoneError
from tests.unit.aftertone.records import FakeJobs


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def events(settings: Settings, jobs: FakeJobs) -> Events:
    return Events(settings, jobs)


def test_a_project_that_is_not_connected_is_ignored(events: Events, settings: Settings, jobs: FakeJobs) -> None:
    events.happened(5, "START_TRAINING", trusted=True)
    assert jobs.woken == Store(settings.model_dir).projects() == []


def test_connecting_wakes_and_answers_with_the_version(events: Events, settings: Settings, jobs: FakeJobs) -> None:
    assert events.connected(5, SMALLEST_CONFIG, {"batch_size": 9}) == "untrained"
    assert (jobs.woken, Store(settings.model_dir).projects()) == ([5], [5])


def test_what_does_not_fit_is_not_remembered(events: Events, settings: Settings, jobs: FakeJobs) -> None:
    with pytest.raises(LabelConfigError):
        events.connected(5, "<View/>", {})
    with pytest.raises(SettingsError):
        events.connected(5, SMALLEST_CONFIG, {"host": "x"})
    assert jobs.woken == Store(settings.model_dir).projects() == []


@pytest.mark.parametrize("trusted", [True, False])
def test_only_who_is_trusted_starts_a_training(events: Events, settings: Settings, trusted: bool) -> None:
    events.connected(5, SMALLEST_CONFIG, {})
    events.happened(5, "START_TRAINING", trusted=trusted)
    assert Store(settings.model_dir).project(5).train_requested is trusted


@pytest.mark.parametrize("damaged", [False, True])
def test_a_host_without_setup_connects_by_its_first_event(events: Events, settings: Settings, damaged: bool) -> None:
    store = Store(settings.model_dir).project(5)
    events.connected(5, SMALLEST_CONFIG, {"batch_size": 9})
    if damaged:
        (store.folder / "connection.json").write_text("{")
    changed = SMALLEST_CONFIG.replace("happy", "sad")
    events.happened(5, "ANNOTATION_CREATED", trusted=True, label_config=changed)
    connection = store.read(Connection)
    assert connection is not None
    assert (connection.label_config, connection.extra_params) == (changed, {} if damaged else {"batch_size": 9})


@pytest.mark.parametrize(("raw", "number"), [(5, 5), ("5", 5), ("5.1795222710", 5)])
def test_a_projects_number_is_read_in_each_form(raw: object, number: int) -> None:
    assert project_id(raw) == number


@pytest.mark.parametrize("raw", [None, "", "x", {}])
def test_a_request_without_a_project_is_explained(raw: object) -> None:
    with pytest.raises(AftertoneError, match="send payload"):
        project_id(raw)
