"""Projects that can't be used are listed, few of them, and until they can."""

from pathlib import Path

import pytest

from aftertone.store import refusals as module
from aftertone.store.refusals import FORGOTTEN_AFTER, MOST, RefusedProjects


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its first number is the time."""
    now = [1_000.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    return now


@pytest.fixture
def refused(tmp_path: Path) -> RefusedProjects:
    return RefusedProjects(tmp_path)


def reasons(refused: RefusedProjects) -> dict[int, str]:
    return {project: row.reason for project, row in refused.current().items()}


def test_the_first_line_is_the_reason_and_it_is_printable(refused: RefusedProjects) -> None:
    refused.add(4, "It is \x1b[31mred.\nThe smallest that works:\n<View/>", known=False)
    assert reasons(refused) == {4: "It is ?[31mred."}
    refused.add(4, "x" * 5_000, known=False)
    assert len(reasons(refused)[4]) == module.LONGEST


def test_strangers_push_out_neither_known_projects_nor_fill_the_disk(
    refused: RefusedProjects, clock: list[float]
) -> None:
    refused.add(1, "known", known=True)
    for project in range(100, 200):
        clock[0] += 1
        refused.add(project, "stranger", known=False)
    assert list(refused.current()) == [1, *range(200 - MOST, 200)]


def test_a_refusal_is_forgotten_after_a_day_unless_it_is_repeated(refused: RefusedProjects, clock: list[float]) -> None:
    refused.add(4, "why", known=False)
    clock[0] += FORGOTTEN_AFTER - 1
    refused.add(4, "why", known=False)
    clock[0] += FORGOTTEN_AFTER - 1
    assert reasons(refused) == {4: "why"}
    clock[0] += 1
    assert reasons(refused) == {}


def test_the_same_again_a_moment_later_writes_nothing(refused: RefusedProjects, tmp_path: Path) -> None:
    refused.add(4, "why", "<View/>", known=False)
    written = (tmp_path / "refused.json").stat().st_mtime_ns
    refused.add(4, "why", "<View/>", known=False)
    assert (tmp_path / "refused.json").stat().st_mtime_ns == written


def test_an_accepted_setup_withdraws_it_and_so_does_a_look_at_another_label_config(refused: RefusedProjects) -> None:
    refused.add(4, "an option", "<View/>", known=True)
    refused.withdraw(4, "<View/>")  # the options before these go on with the same label config
    assert reasons(refused) == {4: "an option"}
    refused.withdraw(4, "<View><Audio/></View>")
    assert reasons(refused) == {}
    refused.add(4, "an option", "<View/>", known=True)
    refused.withdraw(4)
    refused.withdraw(5)
    assert reasons(refused) == {}


def test_what_can_not_be_written_is_not_listed_and_hinders_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = RefusedProjects(tmp_path / "file")
    refused.add(4, "why", known=False)
    refused.withdraw(4)
    assert reasons(refused) == {}
