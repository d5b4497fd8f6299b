"""`python -m aftertone.archive PROJECT FORMAT`: what the page's export buttons do, in a process of its own.

`transformers` and `onnx` make an archive of the newest model beside the project's files and note what became of it;
`predictions` writes the table of `aftertone predictions` to standard output.
"""

import sys
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path

from aftertone.errors import StoreError
from aftertone.faults import BUG, explain
from aftertone.settings import Settings, load_settings
from aftertone.store.exports import ExportFolder
from aftertone.store.project import ProjectStore, Store
from aftertone.store.rounds import Round

PREDICTIONS = "predictions"
LEVEL = 1  # of compression: weights hardly get smaller


def formats() -> tuple[str, ...]:
    """Those that can be made here: ONNX needs packages of its own."""
    onnx = find_spec("onnx") is not None and find_spec("onnxruntime") is not None
    return ("transformers", "onnx") if onnx else ("transformers",)


def request_archive(store: ProjectStore, format: str) -> str:
    """Note that the newest model's archive is about to be made. Returns a sentence for people.

    Raises:
        StoreError: there is no such format here, no model yet, or another archive is being made.
    """
    if format not in formats():
        raise StoreError(f"The page makes exports as {' and '.join(formats())}.")
    with store.round_model() as (number, _):
        pass
    ExportFolder(store).begin(format, number, store.round(number).version, time.time())
    return f"Round {number} is being exported ({format}). The page lists the archive once it is whole."


def make_archive(store: ProjectStore, settings: Settings, format: str) -> None:
    """Make the archive that was requested, whole or not at all, and note what became of it."""
    exports = ExportFolder(store)
    try:
        with exports.making() as scratch:
            record = _export(store, settings, format, scratch / "model")
            name = f"aftertone-project-{store.folder.name}-round-{record.number:03d}-{format}.zip"
            _pack(scratch / "model", scratch / name)
            exports.ready(
                format, scratch / name, name, time.time(), number=record.number, version=record.version
            )  # fmt: skip
    except Exception as error:
        exports.failed(format, explain(error) or f"{type(error).__name__}: {error}. {BUG}", time.time())


def _export(store: ProjectStore, settings: Settings, format: str, folder: Path) -> Round:
    from aftertone.export import export_model  # brings torch

    return export_model(store, settings, folder, format="onnx" if format == "onnx" else "transformers")


def _pack(folder: Path, archive: Path) -> None:
    """A folder's files as an archive that unpacks into a folder of the archive's name."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                packed.write(path, Path(archive.stem, path.relative_to(folder)))


def _print_predictions(store: ProjectStore, settings: Settings) -> None:
    from aftertone.outputs.predictions import predictions_of
    from aftertone.outputs.table import print_csv, rows_of

    print_csv(rows_of(predictions_of(store, settings, later=False)), sys.stdout)


def main() -> int:
    """Do it."""
    project, format = sys.argv[1:]
    settings = load_settings()
    store = Store(settings.model_dir).kept(int(project))
    if format == PREDICTIONS:
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # pyright: ignore[reportAttributeAccessIssue]
        _print_predictions(store, settings)
    else:
        make_archive(store, settings, format)
    return 0


if __name__ == "__main__":
    sys.exit(main())
