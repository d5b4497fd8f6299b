"""How long the status page takes: `python -m benchmarks.status_page [--projects 20] [--rounds 30] [--clips 100000]`.

One project has the large pool, the others 1,000 clips each; nothing is trained, all is written as rounds leave it. The
first answer reads everything from disk, the second finds most of it in memory, and the third comes after the worker has
read a new label of the large project.
"""

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

from starlette.testclient import TestClient

from aftertone.pipeline.figures import save_figures
from aftertone.server.app import create_app
from aftertone.settings import Settings
from aftertone.store.project import Store
from aftertone.store.records import Tasks
from tests.unit.aftertone.made_store import make_project
from tests.unit.aftertone.records import FakeJobs

BROWSER = {"Accept": "text/html"}


def main() -> None:
    """Make the store, ask, and print a table."""
    parser = argparse.ArgumentParser(description="How long the status page takes.")
    parser.add_argument("--projects", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--clips", type=int, default=100_000)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(model_dir=Path(folder))  # pyright: ignore[reportCallIssue] -- pydantic's defaults
        for number in range(1, asked.projects + 1):
            make_project(settings.model_dir, number, clips=asked.clips if number == 1 else 1_000, rounds=asked.rounds)
        client = TestClient(create_app(settings, FakeJobs()), base_url="http://localhost", client=("127.0.0.1", 50_000))
        store = Store(settings.model_dir).project(1)
        print("| page | first | again | after a label |\n| --- | --- | --- | --- |")
        for path in ("/", "/projects/1", "/projects/1/map", "/projects/1/search?class=sad", "/status"):
            times = [_seconds(client, path), _seconds(client, path)]
            store.save(store.get(Tasks))  # as the worker does once a label has come
            save_figures(store)
            times.append(_seconds(client, path))
            print(f"| {path} | {' | '.join(f'{wall:.2f} s ({cpu:.2f} CPU)' for wall, cpu in times)} |", flush=True)


def _seconds(client: TestClient, path: str) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    reply = client.get(path, headers=BROWSER)
    reply.raise_for_status()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
