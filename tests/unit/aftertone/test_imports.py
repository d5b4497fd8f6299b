"""Who imports whom: no circle between modules or rooms, and light things stay light."""

import ast
import subprocess
import sys
from collections.abc import Sequence
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.unit.aftertone.made_store import make_project

ROOT = Path(__file__).parents[3]
PACKAGES = {"aftertone": ROOT / "backend" / "aftertone", "aftertone_model": ROOT / "model" / "aftertone_model"}
HEAVY = ("label_studio_sdk", "pandas", "torch", "sklearn", "transformers")
SLOW = {*HEAVY, "flask", "httpx", "redis", "rq", "scipy.special", "scipy.stats", "starlette", "uvicorn"}
"""What takes a tenth of a second or more to import."""


def modules() -> dict[str, Path]:
    found = {}
    for package, folder in PACKAGES.items():
        for path in folder.rglob("*.py"):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(path: Path) -> set[str]:
    """Our modules that a file imports anywhere, for type checking too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name for name in inner if name in MODULES} or {node.module}
    return names & MODULES.keys()


GRAPH = {name: imported(path) - {name} for name, path in MODULES.items()}


def room(module: str) -> str:
    """The folder that a module lies in; a module beside the folders is a room of its own."""
    return ".".join(module.split(".")[:2])


def test_no_circle_between_modules() -> None:
    TopologicalSorter(GRAPH).prepare()


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_between_rooms(package: str) -> None:
    rooms: dict[str, set[str]] = {}
    for module, needs in GRAPH.items():
        if module.startswith(f"{package}."):
            inside = {room(need) for need in needs if need.startswith(f"{package}.")}
            rooms.setdefault(room(module), set()).update(inside - {room(module)})
    TopologicalSorter(rooms).prepare()


def test_the_model_knows_nothing_of_the_backend() -> None:
    for module, needs in GRAPH.items():
        if module.split(".")[0] == "aftertone_model":
            assert {need.split(".")[0] for need in needs} <= {"aftertone_model"}


def test_what_talks_to_label_studio_knows_neither_store_nor_pipeline() -> None:
    for module, needs in GRAPH.items():
        if room(module) == "aftertone.labelstudio":
            assert not {room(need) for need in needs} & {"aftertone.store", "aftertone.pipeline", "aftertone.server"}
        elif room(module) == "aftertone.store":
            assert {n for n in needs if room(n) == "aftertone.labelstudio"} <= {"aftertone.labelstudio.tasks"}


def test_command_line_status_plan_and_store_import_nothing_heavy() -> None:
    light = [
        "aftertone.cli",
        "aftertone.status",
        "aftertone.pipeline.plan",
        *(m for m in MODULES if room(m) == "aftertone.store"),
    ]
    assert heavy_after(f"import {', '.join(light)}") == set()


def test_help_loads_the_command_line_alone() -> None:
    asked = """
from aftertone.cli import app
from typer.main import get_command
for name in ("", *get_command(app).commands):
    app([*name.split(), "--help"], standalone_mode=False)
"""
    assert not loaded_by(asked) & {*SLOW, "numpy", "pydantic_settings"}


@pytest.mark.parametrize(
    "command", [["status"], ["status", "1"], ["rounds", "1"], ["plan"], ["strategies"]], ids=" ".join
)
def test_commands_that_only_read_load_nothing_slow(command: Sequence[str], tmp_path: Path) -> None:
    make_project(tmp_path, clips=60, rounds=4)
    asked = f"""
import os, sys
os.environ["MODEL_DIR"] = {str(tmp_path)!r}
from aftertone.cli import app
app({command!r}, standalone_mode=False)
"""
    assert not loaded_by(asked) & SLOW


def test_a_job_that_finds_nothing_to_do_loads_no_torch(tmp_path: Path) -> None:
    """Nearly all jobs are such, each a process of its own that is forked from the worker."""
    look = f"""
from pathlib import Path
import aftertone.pipeline.worker
from aftertone.pipeline.advance import Advance
from aftertone.settings import Settings
from tests.unit.aftertone.loops import connect
from tests.unit.aftertone.fake_label_studio import FakeLabelStudio
connect(FakeLabelStudio(), Settings(model_dir=Path({str(tmp_path)!r})), Path("aftertone-mini"), {{}}).advance()
"""
    assert heavy_after(look) == {"label_studio_sdk"}
    assert "the project has no tasks yet" in (tmp_path / "projects/1/progress.json").read_text()


def heavy_after(code: str) -> set[str]:
    return loaded_by(code) & set(HEAVY)


def loaded_by(code: str) -> set[str]:
    """All modules that a process has loaded which ran some code."""
    code += "\nimport sys; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(shown.stdout.splitlines()[-1].split())
