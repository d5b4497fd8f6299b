"""Processes of one MODEL_DIR: who lives, and who may not start beside them."""

import os
from pathlib import Path

import pytest

from aftertone.errors import SettingsError
from aftertone.settings import Settings
from aftertone.store.lease import SILENT_SECONDS
from aftertone.store.running import RunningProcesses

PLAIN, SECRET = {"BATCH_SIZE": "20"}, {"LABEL_STUDIO_API_KEY": "hush"}


@pytest.fixture
def running(tmp_path: Path) -> RunningProcesses:
    return RunningProcesses(tmp_path)


def files(folder: Path) -> list[Path]:
    return list(folder.glob("running/*.json"))


def test_who_runs_is_known_until_it_ends(running: RunningProcesses, tmp_path: Path) -> None:
    assert running.alive() == []
    with running.enter("server", PLAIN, SECRET), running.enter("worker", PLAIN, SECRET):
        assert sorted(one.kind for one in running.alive()) == ["server", "worker"]
    assert running.alive() == []
    assert files(tmp_path) == []


def test_secrets_are_not_written_and_only_the_owner_reads(running: RunningProcesses, tmp_path: Path) -> None:
    with running.enter("worker", PLAIN, SECRET):
        (file,) = files(tmp_path)
        assert "hush" not in file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("settings", "secrets", "said"),
    [
        ({"BATCH_SIZE": "30"}, SECRET, "BATCH_SIZE=30 here, 20 there"),
        ({**PLAIN, "SEED": ""}, SECRET, "SEED='' here, unset there"),
        (PLAIN, {"LABEL_STUDIO_API_KEY": "other"}, "LABEL_STUDIO_API_KEY"),
    ],
)
def test_a_worker_with_other_settings_is_refused_with_their_names(
    running: RunningProcesses, settings: dict[str, str], secrets: dict[str, str], said: str
) -> None:
    with running.enter("worker", PLAIN, SECRET):
        with running.enter("worker", PLAIN, SECRET):
            pass
        with pytest.raises(SettingsError) as refused, running.enter("worker", settings, secrets):
            pass
        assert f"process {os.getpid()}" in str(refused.value)
        assert said in str(refused.value)
        assert "hush" not in str(refused.value)
        with running.enter("server", settings, secrets):  # answers from files alone; doctor tells of it
            assert sum(bool(one.differences(PLAIN, SECRET)) for one in running.alive()) == 1
    with running.enter("worker", settings, secrets):
        pass


@pytest.mark.parametrize("how", ["silent", "killed", "garbled"])
def test_who_died_stops_nobody(running: RunningProcesses, tmp_path: Path, how: str) -> None:
    with running.enter("worker", PLAIN, SECRET):
        (file,) = files(tmp_path)
        text, then = file.read_text(), file.stat().st_mtime
    if how == "killed":
        text = text.replace(f'"pid": {os.getpid()}', '"pid": 4194303')  # nobody has it
    file.write_text("{" if how == "garbled" else text)
    if how == "silent":
        os.utime(file, (then, then - SILENT_SECONDS - 5))
    assert running.alive() == []
    with running.enter("worker", {"BATCH_SIZE": "30"}, SECRET):
        pass


def test_what_each_machine_may_have_as_it_likes_is_no_difference(settings: Settings) -> None:
    other = settings.model_copy(
        update={"host": "0.0.0.0", "port": 1, "device": "cuda", "redis_url": "redis://r", "log_format": "json"}
    )
    assert other.shared() == settings.shared()
    for change in ({"strategy": "badge"}, {"seed": 5}, {"audio_hosts": ("a",)}, {"backbone": "b"}):
        assert settings.model_copy(update=change).shared() != settings.shared()
    assert "LABEL_STUDIO_API_KEY" in settings.shared()[1]
