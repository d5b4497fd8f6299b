"""Events, in whatever protocol they arrive."""

from functools import partial
from typing import Any

import pytest

from aftertone.errors import LabelConfigError, SettingsError, UnknownProjectError
from aftertone.labelstudio.label_config import SMALLEST_CONFIG
from aftertone.pipeline.connecting import FINDING
from aftertone.server import events as module
from aftertone.server.events import Events
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Connection
from aftertone_model.errors import AftertoneError
from tests.unit.aftertone.records import FakeJobs


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def events(settings: Settings, jobs: FakeJobs) -> Events:
    return Events(settings, jobs)


@pytest.fixture
def store(settings: Settings) -> ProjectStore:
    """Project 5, which Label Studio has confirmed with a second model beside ours."""
    store = Store(settings.model_dir).project(5)
    options = {"batch_size": 9}
    store.connect(
        Connection(
            project=5, label_config="<View/>", extra_params=options, url="http://b:9090", others=("{}", {"x": 1})
        )
    )
    return store


def test_a_project_that_is_not_connected_is_ignored(events: Events, settings: Settings, jobs: FakeJobs) -> None:
    events.happened(5, "START_TRAINING", trusted=True)
    assert jobs.woken == Store(settings.model_dir).projects() == list(settings.model_dir.iterdir()) == []


def test_a_host_without_setup_connects_by_its_first_event(events: Events, settings: Settings, jobs: FakeJobs) -> None:
    events.happened(5, "ANNOTATION_CREATED", trusted=True, connects=True)
    assert (jobs.woken, Store(settings.model_dir).projects()) == ([5], [])


def test_what_does_not_fit_wakes_nobody_and_is_listed_until_it_fits(
    events: Events, settings: Settings, jobs: FakeJobs
) -> None:
    everything = Store(settings.model_dir)
    with pytest.raises(LabelConfigError):
        events.connected(5, "<View/>", {})
    assert "asks nothing about audio" in everything.refused.current()[5].reason
    with pytest.raises(SettingsError):
        events.connected(5, SMALLEST_CONFIG, {"host": "x"})
    assert "host can't be set there" in everything.refused.current()[5].reason
    assert jobs.woken == everything.folders() == []
    events.connected(5, SMALLEST_CONFIG, {})
    assert everything.refused.current() == {}


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("{", "not JSON"),
        ({"x": 1}, "x can't be set there"),
        ({"strategy": "foo"}, "no strategy 'foo'"),
        ({"strategy": "batchbald"}, "single-choice labels only"),
        ({"question": "mood"}, 'no question "mood"'),
    ],
)
def test_options_that_can_not_be_used_are_refused_at_once(
    events: Events, settings: Settings, extra: Any, said: str
) -> None:
    several = SMALLEST_CONFIG.replace('choice="single"', 'choice="multiple"')
    with pytest.raises(AftertoneError) as error:
        events.connected(5, several, extra)
    assert said in str(error.value).splitlines()[0]
    assert said in Store(settings.model_dir).refused.current()[5].reason


def test_a_question_among_several_must_be_named(events: Events) -> None:
    other = '<Choices name="mood" toName="audio"><Choice value="up"/><Choice value="down"/></Choices></View>'
    config = SMALLEST_CONFIG.replace("</View>", other)
    with pytest.raises(LabelConfigError, match=r'Choices "emotion" \(neutral, happy\), Choices "mood" \(up, down\)'):
        events.connected(5, config, {})
    assert events.connected(5, config, {"question": "mood"}) == "untrained"


def test_both_calls_of_a_new_connection_are_heard(events: Events, jobs: FakeJobs) -> None:
    """Label Studio calls before it saves the model, and again after: only then it knows the model when asked."""
    assert events.connected(5, SMALLEST_CONFIG, {"batch_size": 9}) == "untrained"
    events.connected(5, SMALLEST_CONFIG, {"batch_size": 9})
    assert (jobs.woken, [project for project, _ in jobs.alarms]) == ([5], [5])


def test_a_project_that_label_studio_does_not_know_may_not_ask_again_at_once(
    events: Events, settings: Settings, jobs: FakeJobs
) -> None:
    Store(settings.model_dir).unconfirmed.refuse(5)
    with pytest.raises(UnknownProjectError, match="doesn't know project 5"):
        events.connected(5, SMALLEST_CONFIG, {})
    events.connected(6, SMALLEST_CONFIG, {})
    assert jobs.woken == [6]


@pytest.mark.parametrize("extra", [{"batch_size": 9}, '{"batch_size": 9}', "{}"])
def test_the_models_that_label_studio_named_are_no_news(
    events: Events, store: ProjectStore, jobs: FakeJobs, extra: Any
) -> None:
    """It calls /setup of each of them whenever the worker asks it: news then would never end."""
    events.connected(5, SMALLEST_CONFIG, extra)
    assert jobs.woken == []
    assert not store.setup_requested


def test_other_options_have_label_studio_asked(events: Events, store: ProjectStore, jobs: FakeJobs) -> None:
    events.connected(5, SMALLEST_CONFIG, {"batch_size": 8})
    assert jobs.woken == [5]
    assert store.setup_requested


@pytest.mark.parametrize("why", ["damaged", "old", "lost"])
def test_what_is_not_known_for_sure_has_label_studio_asked(
    events: Events, store: ProjectStore, jobs: FakeJobs, why: str
) -> None:
    if why == "damaged":
        (store.folder / "connection.json").write_text("{")
    elif why == "old":
        store.connect(Connection(project=5, label_config="<View/>", extra_params={"batch_size": 9}))
    else:
        store.record_problem(FINDING, "404", 0.0)
    events.connected(5, SMALLEST_CONFIG, {"batch_size": 9})
    assert store.setup_requested
    assert jobs.woken == [5]


@pytest.mark.parametrize("trusted", [True, False])
def test_only_who_is_trusted_starts_a_training(events: Events, store: ProjectStore, trusted: bool) -> None:
    events.happened(5, "START_TRAINING", trusted=trusted)
    assert store.train_requested is trusted


def test_hints_wake_once_in_a_while_and_none_is_lost(
    events: Events, store: ProjectStore, jobs: FakeJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now in (100.0, 100.5, 101.9, 102.5, 103.0, 104.5, 110.0):
        monkeypatch.setattr(module.time, "monotonic", partial(float, now))
        events.happened(5, "ANNOTATION_CREATED", trusted=False)
    # 100.0 at once; 100.5 at 102, which sees 101.9 too; 102.5 at 104, which sees 103.0; 104.5 at 106; 110.0 at once
    assert jobs.woken == [5, 5]
    assert jobs.alarms == [(5, 1.5), (5, 1.5), (5, 1.5)]
