"""The documentation's commands are the real ones, and its site holds every page and asks no other host."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
import wave
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.main import get_command
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone.server.app import create_app
from aftertone.settings import Settings
from aftertone_model.acquisition import STRATEGIES
from tests.unit.aftertone.made_store import make_project
from tests.unit.aftertone.records import FakeJobs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
GROUP: Any = get_command(app)  # declared without its commands
MAKEFILE = (ROOT / "Makefile").read_text()
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def lines(page: Path) -> Iterator[str]:
    """Each command line in a page's shell blocks, with continuation lines joined and $W replaced."""
    for block in BLOCK.findall(page.read_text()):
        shorthand = re.search(r'^W="(.*)"$', block, re.MULTILINE)
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip() and not line.startswith("W="):
                yield line.strip().replace("$W", shorthand[1] if shorthand else "$W")


def words(line: str) -> list[str]:
    """A command line's words, without its comment, variables, `&`, and what `...` leaves out."""
    found = [word for word in shlex.split(line, comments=True) if word not in ("&", "...")]
    return [found[0].removeprefix(".venv/bin/"), *found[1:]] if found else []


LINES = [(page, line) for page in PAGES for line in lines(page)]


def parse(name: str, arguments: list[str]) -> None:
    """Have the real command line read it, and run nothing; raises what a person would be told."""
    GROUP.commands[name].make_context(f"aftertone {name}", list(arguments))


def test_commands_that_do_not_exist_are_found() -> None:
    for name, arguments in [("status", ["1", "--wach"]), ("rollback", ["1"]), ("export", ["1", "--format", "pickle"])]:
        with pytest.raises(Exception, match=r"No such option|Missing|is not one of"):
            parse(name, arguments)


@pytest.mark.parametrize("page", sorted({page for page, _ in LINES}), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_is_one(page: Path, tmp_path: Path) -> None:
    server = TestClient(create_app(Settings.model_validate({"model_dir": tmp_path}), FakeJobs()))
    for line in lines(page):
        match words(line):
            case ["aftertone", name, *arguments]:
                parse(name, arguments)
            case ["make", *arguments]:
                targets = [one for one in arguments if "=" not in one]
                assert targets
                assert all(f"\n{target}:" in MAKEFILE for target in targets), line
            case ["python", "-m", module, *arguments]:
                _check_module(module, arguments)
            case ["curl", *arguments]:
                body, address = arguments[arguments.index("--json") + 1 :]
                json.loads(body)
                told = server.post(address.removeprefix("http://localhost:9090"), json={}).json()
                assert told["error"] != "WrongRoute", line
            case ["pip", "install", *what]:
                assert all(one == "." or one.strip(".[]") in EXTRAS for one in what), line
            case ["docker", "compose", *arguments]:
                files = [after for option, after in pairwise(arguments) if option == "-f"]
                assert all((ROOT / file).exists() for file in files), line
            case ["cp", source, _]:
                assert (ROOT / source).exists(), line
            case [first, *_] if first in ("export", "label-studio-ml"):
                continue  # of the shell, and of another project
            case _:
                pytest.fail(f"nothing is known of this command: {line}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_within_a_sentence_is_one(page: Path) -> None:
    text = page.read_text().replace("\n", " ")
    for name in re.findall(r"`(?:\.venv/bin/)?aftertone ([a-z]\w*)", text):
        assert name in GROUP.commands, name
    for target in re.findall(r"`make (\w+)", text):
        assert f"\n{target}:" in MAKEFILE, target
    for command in re.findall(r"`python -m ([^`]*)`", text):
        module, *arguments = command.partition(" >")[0].split()
        _check_module(module, arguments)


def _check_module(module: str, arguments: list[str]) -> None:
    """A module that can be run, and the options that its source, or a file beside it, names."""
    path = Path(*module.split("."))
    homes = (ROOT, ROOT / "backend", ROOT / "model")
    found = [home / one for home in homes for one in (path.with_suffix(".py"), path / "__main__.py")]
    (file,) = [one for one in found if one.exists()]
    assert file.name == "__main__.py" or '__name__ == "__main__"' in file.read_text(), module
    beside = "".join(one.read_text() for one in file.parent.glob("*.py"))
    assert all(f'"{option}"' in beside for option in arguments if option.startswith("--")), (module, arguments)


RUN = [line for page, line in LINES if page.name in ("steer.md", "tutorial.md")]
LEFT = {  # what is parsed, but not run here, and why
    "aftertone status 1 --watch": "goes on until Ctrl-C",
    "aftertone export 1": "the made rounds have no weights; test_loop.py exports real ones",
    "aftertone predict my-model": "the same",
    "aftertone adapt": "the made project was never adapted; test_steering.py has one that was",
    "aftertone doctor": "asks Label Studio",
    "aftertone clean --deleted": "asks Label Studio",
    "aftertone forget": "asks Label Studio",
}


def test_commands_that_need_no_label_studio_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_project(tmp_path / "model", clips=60, rounds=4)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "model"))
    monkeypatch.setenv("REDIS_URL", "")
    ran = 0
    for line in RUN:
        match words(line):
            case ["aftertone", *arguments] if not line.removeprefix(".venv/bin/").startswith(tuple(LEFT)):
                outcome = CliRunner().invoke(app, arguments)
                assert outcome.exit_code == 0, (line, outcome.output)
                ran += 1
            case _:
                continue
    assert ran > 8
    assert (tmp_path / "emotions.csv").exists()


def test_a_plan_and_the_list_of_strategies_need_nothing_but_a_manifest(tmp_path: Path) -> None:
    rows = ["path,emotion,speaker"]
    for number in range(40):
        rows.append(f"{number}.wav,{('happy', 'sad')[number % 2]},speaker-{number % 10}")
        with wave.open(str(tmp_path / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(bytes(range(250)) * 64)
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    (line,) = [one for page, one in LINES if page.name == "simulate.md" and one.endswith("manifest.csv --plan")]
    plan = [word.replace("manifest.csv", str(tmp_path / "manifest.csv")) for word in words(line)[1:]]
    outcome = CliRunner().invoke(app, plan)
    assert outcome.exit_code == 0, outcome.output
    assert "typiclust-margin" in outcome.output
    listed, page = CliRunner().invoke(app, ["strategies"]).output, (DOCS / "strategies.md").read_text()
    assert all(f"\n{name}" in listed and f"\n## {name}\n" in page for name in STRATEGIES)


def test_the_site_has_every_page_and_asks_no_other_host(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(DOCS), str(tmp_path)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # a page that no chapter holds is a warning, and so is a broken link
    files = {file.relative_to(tmp_path).with_suffix("") for file in tmp_path.rglob("*.html")}
    assert {page.relative_to(DOCS).with_suffix("") for page in DOCS.rglob("*.md")} <= files
    elsewhere = re.compile(r"<(?:link|script|img|source|iframe)\b[^>]*\b(?:href|src)=\"(?:https?:)?//")
    for file in tmp_path.rglob("*.html"):
        assert not elsewhere.search(file.read_text()), file
    for file in (tmp_path / "_static").rglob("*.css"):
        assert not re.search(r"(?:@import|url\()[\s\"']*(?:https?:)?//", file.read_text()), file


def test_the_readme_and_the_index_name_every_page() -> None:
    index = set(re.findall(r"\]\(([^)#:]+\.md)", (DOCS / "index.md").read_text()))
    assert index == {
        str(page.relative_to(DOCS))
        for page in DOCS.rglob("*.md")
        if page.name != "index.md" and (page.parent == DOCS or page.parent.name == "benchmarks")
    } | {"results/README.md"}
    readme = (ROOT / "README.md").read_text()
    assert {page.name for page in DOCS.glob("*.md") if f"(docs/{page.name}" not in readme} == set()
