"""`aftertone host`: a folder that label-studio-ml starts, of version 1.0.9 (PyPI) as of 2.x (GitHub)."""

from pathlib import Path

from aftertone.errors import StoreError
from aftertone_model.data.files import whole_folder

MODEL = '''"""Aftertone for label-studio-ml. An `aftertone worker` with the same settings must run beside it."""

from aftertone.plugin import Aftertone

__all__ = ["Aftertone"]
'''
SERVER = '''"""The server: `label-studio-ml start FOLDER`, `python _wsgi.py`, or `gunicorn _wsgi:app`."""

import argparse
import inspect
from pathlib import Path

from label_studio_ml.api import init_app
from model import Aftertone

# 1.0.9 keeps a file for each event; 2.x keeps cache.db in MODEL_DIR.
OLDER = {"model_dir": str(Path(__file__).resolve().parent / "events")}
app = init_app(Aftertone, **(OLDER if "kwargs" in inspect.signature(init_app).parameters else {}))

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-p", "--port", type=int, default=9090)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for every network that this machine is in")
    chosen, _ = parser.parse_known_args()
    app.run(host=chosen.host, port=chosen.port)
'''
REQUIREMENTS = "aftertone\ngunicorn\nlabel-studio-ml\n"
FILES = {"model.py": MODEL, "_wsgi.py": SERVER, "requirements.txt": REQUIREMENTS}


def write_host(folder: Path) -> None:
    """Write the folder, whole or not at all.

    Raises:
        StoreError: it exists already.
    """
    if folder.exists():
        raise StoreError(f"{folder} exists already. Name another folder, or remove it.")
    with whole_folder(folder) as scratch:
        for name, text in FILES.items():
            (scratch / name).write_text(text, encoding="utf-8")
