"""What exists is documented."""

from pathlib import Path

import pytest
from typer.main import get_command

from aftertone.cli import app
from aftertone.server.app import create_app
from aftertone.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"aftertone {command}" in README or f"make {command}" in README


def test_every_route_is_in_the_readme(tmp_path: Path) -> None:
    paths = {route.path for route in create_app(Settings(model_dir=tmp_path)).routes} - {"/"}  # type: ignore[attr-defined]
    assert all(f"`{path}`" in README for path in paths)


def test_every_page_that_the_readme_names_exists() -> None:
    named = [part.split(")")[0] for part in README.split("](")[1:]]
    assert all((ROOT / name).exists() for name in named if not name.startswith("http"))


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in README.splitlines():
        if line.startswith("make "):
            assert f"\n{line.split()[1]}:" in makefile
