"""How fast the server answers while the worker trains: 200 calls each of /health, /setup and /webhook.

    python -m benchmarks.responsiveness MANIFEST [--clips 200]

Needs no Label Studio: a worker's training is what loads the machine, so a Learner trains in a process of its own, as a
job's does, while a real `aftertone serve` with its embedded Redis is called over HTTP by one client, as Label Studio
does. Prints percentiles in milliseconds; the limit that Label Studio sets for a webhook is 1,000.
"""

import argparse
import multiprocessing
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import httpx
import numpy as np

from aftertone.labelstudio.label_config import SMALLEST_CONFIG
from aftertone.store.project import Store
from aftertone.store.records import Connection

CALLS = 200
SETUP = {"project": "1.0", "schema": SMALLEST_CONFIG, "hostname": "http://localhost:8080", "extra_params": None}
WEBHOOK = {"action": "ANNOTATION_CREATED", "project": {"id": 1}}


def train(manifest: Path, clips: int, folder: Path, ready: Event) -> None:
    """Fine-tune over and over until told to stop."""
    from aftertone_model.backbones.backbone import load_backbone
    from aftertone_model.config import PRACTICAL, Tuning
    from aftertone_model.data.audio import decode
    from aftertone_model.data.manifest import read_manifest
    from aftertone_model.data.pool import Pool
    from aftertone_model.labels import SingleChoice
    from aftertone_model.learner import Learner
    from aftertone_model.runtime import Runtime

    rows = [row for row in read_manifest(manifest) if row.emotion][:clips]
    classes = sorted({row.emotion for row in rows if row.emotion})
    pool = Pool(folder)
    pooled = {pool.add(decode(row.path)): row.emotion for row in rows}
    labels = {clip.id: np.eye(len(classes))[classes.index(emotion)] for clip, emotion in pooled.items() if emotion}
    # The whole transformer, however few the labels: the heaviest that a round can be.
    config = replace(PRACTICAL, few_labels_tuning=Tuning.FULL)
    runtime = Runtime(pool=pool, progress=lambda stage, *_: ready.set() if stage == "train" else None)
    learner = Learner(load_backbone("tiny"), SingleChoice(classes=tuple(classes)), runtime, config)
    while True:
        learner.train(labels, {}, list(pooled))


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A real `aftertone serve` on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    Store(folder).project(1).connect(Connection(project=1, label_config=SMALLEST_CONFIG, url="http://localhost:9090"))
    environment = {**os.environ, "MODEL_DIR": str(folder), "HOST": "127.0.0.1", "PORT": str(port), "REDIS_URL": ""}
    process = subprocess.Popen([sys.executable, "-m", "aftertone", "serve"], env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        while True:
            try:
                httpx.get(f"{url}/health", timeout=1)
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def measure(call: Callable[[], httpx.Response]) -> np.ndarray:
    """Milliseconds of each of 200 calls, which must all succeed."""
    took = np.empty(CALLS)
    for i in range(CALLS):
        began = time.perf_counter()
        call().raise_for_status()
        took[i] = 1000 * (time.perf_counter() - began)
        time.sleep(0.01)
    return took


def report(title: str, url: str) -> None:
    print(f"\n{title}\n{'route':<10}{'median':>9}{'p95':>9}{'p99':>9}{'max':>9}   ms")
    # Label Studio opens a connection for each call.
    with httpx.Client(base_url=url, timeout=5, headers={"Connection": "close"}) as client:
        routes = {
            "/health": lambda: client.get("/health"),
            "/setup": lambda: client.post("/setup", json=SETUP),
            "/webhook": lambda: client.post("/webhook", json=WEBHOOK),
        }
        for route, call in routes.items():
            took = measure(call)
            figures = [np.percentile(took, q) for q in (50, 95, 99, 100)]
            print(f"{route:<10}" + "".join(f"{figure:9.1f}" for figure in figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--clips", type=int, default=200)
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as scratch, server(Path(scratch) / "model") as url:
        report("idle", url)
        context = multiprocessing.get_context("spawn")
        ready = context.Event()
        what = (arguments.manifest, arguments.clips, Path(scratch) / "pool", ready)
        trainer = context.Process(target=train, args=what)
        trainer.start()
        try:
            ready.wait()
            report("while training", url)
        finally:
            trainer.kill()


if __name__ == "__main__":
    main()
