"""The rules of docs/architecture.md: who imports whom, and that the page speaks of what exists."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from aftertone.store import records as store_records

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PACKAGES = {"aftertone": ROOT / "backend", "aftertone_model": ROOT / "model"}
OUTSIDE = {"httpcore", "httpx", "label_studio_ml", "label_studio_sdk", "redis", "rq", "starlette", "uvicorn"}
MAY_KNOW = {  # room -> rooms beside it that it may import
    "aftertone.labelstudio": set(),
    "aftertone.store": {"labelstudio"},
    "aftertone.doctor": {"labelstudio", "store"},
    "aftertone.pipeline": {"labelstudio", "store", "doctor"},
    "aftertone.outputs": {"labelstudio", "store", "pipeline"},
    "aftertone.status": {"labelstudio", "store", "doctor", "pipeline"},
    "aftertone.page": {"labelstudio", "store", "doctor", "pipeline", "status"},
    "aftertone.server": {"labelstudio", "store", "pipeline", "page", "outputs"},
    "aftertone.demo": {"labelstudio", "store"},
    "aftertone.cli": {"labelstudio", "store", "doctor", "pipeline", "status", "server", "outputs", "demo"},
    "aftertone_model.data": set(),
    "aftertone_model.labels": {"evaluation"},
    "aftertone_model.votes": {"labels"},
    "aftertone_model.backbones": {"data"},
    "aftertone_model.evaluation": {"data"},
    "aftertone_model.acquisition": {"data"},
    "aftertone_model.pretraining": {"data", "backbones"},
    "aftertone_model.classification": {"data", "backbones", "evaluation", "labels"},
    "aftertone_model.supervised_contrastive": {
        *("data", "backbones", "labels", "classification", "pretraining", "export"),
    },
    "aftertone_model.two_stage_adapters": {
        *("data", "backbones", "labels", "evaluation", "classification", "pretraining", "export"),
    },
    "aftertone_model.export": {"data", "backbones", "evaluation", "labels", "classification"},
    "aftertone_model.simulate": {
        *("data", "labels", "votes", "backbones", "pretraining", "classification", "acquisition", "evaluation"),
        *("supervised_contrastive", "two_stage_adapters"),
    },
}


def modules() -> Iterator[tuple[str, Path]]:
    for package, above in PACKAGES.items():
        for file in (above / package).rglob("*.py"):
            yield ".".join(file.relative_to(above).with_suffix("").parts).removesuffix(".__init__"), file


FILES = dict(modules())


def imports(file: Path) -> set[str]:
    """Modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in FILES else node.module for name in inner}
    return found


IMPORTS = {module: imports(file) for module, file in FILES.items()}


def test_the_model_knows_neither_the_backend_nor_the_network() -> None:
    assert len(IMPORTS) > 100
    for module, imported in IMPORTS.items():
        if module.startswith("aftertone_model"):
            assert not {name.partition(".")[0] for name in imported} & {"aftertone", *OUTSIDE}, module


def test_no_file_imports_in_a_circle() -> None:
    inside = {module: imported & FILES.keys() for module, imported in IMPORTS.items()}
    TopologicalSorter(inside).prepare()  # CycleError names the circle


def test_rooms_are_those_of_the_page_and_import_downwards() -> None:
    rooms = {
        f"{package}.{p.parent.name}" for package, above in PACKAGES.items() for p in (above / package).glob("*/*.py")
    }
    assert rooms == MAY_KNOW.keys()
    assert all(f"\n| `{room.partition('.')[2]}/` | " in PAGE for room in rooms)
    for module, imported in IMPORTS.items():
        package, _, rest = module.partition(".")
        room = f"{package}.{rest.partition('.')[0]}"
        if room in rooms:
            known = {name.split(".")[1] for name in imported if name.startswith(f"{package}.")}
            beside = {name for name in known if f"{package}.{name}" in rooms} - {rest.partition(".")[0]}
            assert beside <= MAY_KNOW[room], module


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w./]+\.py)`", PAGE))))
def test_every_file_that_the_page_names_exists(name: str) -> None:
    homes = [ROOT, *(above / package for package, above in PACKAGES.items()), *{file.parent for file in FILES.values()}]
    assert any((home / name).exists() for home in [*homes, ROOT / "tests" / "unit" / "aftertone_model"])


def test_every_record_of_the_store_is_in_the_page() -> None:
    records = [record for record in vars(store_records).values() if isinstance(record, type)]
    files = {record.FILE for record in records if issubclass(record, store_records.Record) and hasattr(record, "FILE")}
    assert len(files) > 8
    assert {name for name in files if f"`{name}`" not in PAGE} == set()
