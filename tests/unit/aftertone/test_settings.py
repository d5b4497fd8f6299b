"""Settings: from the environment, with a project's options on top, old names included."""

import json

import pytest

from aftertone.errors import SettingsError
from aftertone.extra_params import parse_extra_params
from aftertone.settings import Settings, load_settings


def test_the_environment_is_read_each_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (7, 8):
        monkeypatch.setenv("BATCH_SIZE", str(size))
        assert load_settings().batch_size == size


def test_the_older_name_of_the_test_share_is_read(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAM_SHARE", "0.3")
    assert load_settings().test_share == 0.3
    assert settings.for_project({"exam_share": 0.4}).test_share == 0.4
    monkeypatch.setenv("TEST_SHARE", "0.2")
    assert load_settings().test_share == 0.2


def test_a_projects_options_win(settings: Settings) -> None:
    assert settings.for_project({"strategy": "margin", "seed_size": 9}).seed_size == 9


@pytest.mark.parametrize("extra", [{"host": "x"}, {"batch_size": -1}, {"test_share": 0.9}])
def test_options_that_do_not_fit_are_named(settings: Settings, extra: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=r"Extra params of the connection: .*(host|BATCH_SIZE|TEST_SHARE)"):
        settings.for_project(extra)


@pytest.mark.parametrize(("name", "value"), [("PORT", "x"), ("LABEL_STUDIO_URL", "ls:8080"), ("DEVICE", "tpu")])
def test_a_wrong_variable_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("LABEL_STUDIO_HOST", "/proc/x", "http://localhost:8080"),
        ("LABEL_STUDIO_URL", "http:///proc/x", "http://localhost:8080"),
        ("LABEL_STUDIO_URL", "http://", "http://localhost:8080"),
        ("HOST", "/proc/x", "127.0.0.1, 0.0.0.0 or localhost"),
        ("HOST", "http://0.0.0.0", "127.0.0.1, 0.0.0.0 or localhost"),
        ("HOST", "localhost:9090", "the port is the setting PORT"),
        ("AUDIO_HOSTS", "a.org, https://b.org/x", "audio.example.org"),
        ("NOTIFY_HOSTS", "b.org/x", "audio.example.org"),
    ],
)
def test_a_wrong_host_is_refused_with_what_a_right_one_looks_like(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, value: str, right: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name.replace("STUDIO_HOST", "STUDIO_URL")) as refused:
        load_settings()
    assert "must be a" in str(refused.value)
    assert right in str(refused.value)
    assert "Value error" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "::1", "fe80::1%eth0", "localhost", "my-host.lan"])
def test_an_address_or_a_name_of_this_machine_is_taken(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("HOST", host)
    assert load_settings().host == host


def test_extra_params_come_as_an_object_or_as_its_json() -> None:
    assert parse_extra_params('{"a": 1}') == parse_extra_params({"a": 1}) == {"a": 1}
    assert parse_extra_params(None) == parse_extra_params("") == {}


@pytest.mark.parametrize(
    "extra", [{"test_share": 1e-320}, {"test_share": float("nan")}, {"batch_size": 10**400}, {"seed_size": 10**12}]
)
def test_numbers_that_no_project_can_mean_are_refused(settings: Settings, extra: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(extra)).upper()):
        settings.for_project(extra)


@pytest.mark.parametrize("name", ["BASIC_AUTH_USER", "BASIC_AUTH_PASS"])
def test_half_a_password_is_refused_and_not_shown(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "hush")
    with pytest.raises(SettingsError, match="go together") as refused:
        load_settings()
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("tapt", ["brief", '{"mask_ratio": 0.5}', {"mask_ratio": 0.5, "passes": 2}])
def test_a_project_says_how_its_backbone_is_adapted(settings: Settings, tapt: object) -> None:
    assert load_settings().for_project({"tapt": tapt}).tapt == (tapt if isinstance(tapt, str) else json.dumps(tapt))


@pytest.mark.parametrize("tapt", ["swift", '{"mask_ratio": 2}', {"mask_share": 0.5}, "[1]"])
def test_adaptation_that_makes_no_sense_is_refused(settings: Settings, tapt: object) -> None:
    with pytest.raises(SettingsError, match="TAPT"):
        load_settings().for_project({"tapt": tapt})
