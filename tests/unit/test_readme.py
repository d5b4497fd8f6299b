"""What exists is documented."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from aftertone.cli import app
from aftertone.server.app import create_app
from aftertone.settings import Settings
from aftertone_model.simulate.cross_corpus import contrastive_config
from aftertone_model.simulate.grid import config_of
from aftertone_model.simulate.method_presets import method_config
from aftertone_model.two_stage_adapters.config import TwoStageConfig
from tests.unit.aftertone.records import FakeJobs

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "after": config_of,
    "supervised-contrastive": contrastive_config,
    "two-stage-adapters": lambda preset: method_config(preset, TwoStageConfig()),
}
"""What reads a preset, by method."""
README = (ROOT / "README.md").read_text()
GROUP: Any = get_command(app)  # declared without its commands
COMMANDS = sorted(GROUP.commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"aftertone {command}" in README or f"make {command}" in README


def test_every_route_is_in_the_readme(tmp_path: Path) -> None:
    routes: list[Any] = create_app(Settings.model_validate({"model_dir": tmp_path}), FakeJobs()).routes
    paths = {route.path for route in routes} - {"/"}
    assert all(f"`{path}`" in README for path in paths)


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in README.splitlines():
        if line.startswith("make "):
            assert f"\n{line.split()[1]}:" in makefile


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_option_and_preset_of_a_page_exists(page: Path) -> None:
    text = page.read_text().replace("\\\n", " ")
    shorthand = re.search(r'^W="(aftertone .*)"$', text, re.MULTILINE)
    if shorthand:
        text = text.replace("$W", shorthand[1])
    for name, arguments in re.findall(r"\baftertone ([a-z]+) ([^\n`#\"]*)", text):
        if name in COMMANDS:
            options = {"--help", *(option for parameter in GROUP.commands[name].params for option in parameter.opts)}
            assert set(re.findall(r"(?<!\S)--[a-z0-9-]+(?!\S)", arguments)) <= options
    for line in text.splitlines():
        method = re.search(r"--method ([\w-]+)", line)
        for preset in re.findall(r"--preset ((?:light|practical|paper)[\w:=.,-]*)", line):
            CONFIGS[method[1] if method else "after"](preset)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_and_page_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert find_spec(module) is not None
    for name in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / name).exists(), name


def test_every_test_that_a_page_names_exists() -> None:
    tests = {
        name for file in ROOT.glob("tests/**/test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    for page in PAGES:
        assert set(re.findall(r"`(test_\w+)`", page.read_text())) <= tests, page
