"""How fast the server answers while a worker trains: percentiles of calls to /health, /setup, /webhook and /predict.

    python -m benchmarks.responsiveness [--calls 400] [--loads ...] [--json FILE] > docs/benchmarks/responsiveness.md

Needs no Label Studio: a worker's training is what loads the machine, so a Learner trains in a process of its own, as a
job's does, while a real `aftertone serve` with its embedded Redis is called over HTTP by one client, as Label Studio
does, over a new connection each time. Clips are noise, and weights are random but for the tiny backbone's: the work is
the same.
"""

import argparse
import json
import multiprocessing
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from aftertone.demo.project import label_config
from aftertone.store.records import Connection
from tests.unit.aftertone.made_store import CLASSES, make_project

TASKS = 10_000  # of the project, all known to the round that is served
PAGE = 100  # tasks that Label Studio's Data Manager lists, and asks predictions of, at once
SETTLING = 5.0  # seconds of training before the first call
PAUSE = 0.01  # seconds between two calls
SECONDS = 3.0  # of a clip
LABEL_CONFIG = label_config(CLASSES)
PROJECT = "1.1795222710"  # as Label Studio writes a project's number
SETUP = {"project": PROJECT, "schema": LABEL_CONFIG, "hostname": "http://localhost:8080", "extra_params": None}
WEBHOOK = {"action": "ANNOTATION_CREATED", "project": {"id": 1}}
LOADS: Mapping[str, tuple[int, str]] = {
    "idle": (0, "while nothing trains"),
    "tiny": (200, "while the whole transformer of the tiny backbone is fine-tuned on 200 clips"),
    "base": (24, "while all of a model of wav2vec2-base's shape is fine-tuned on 24 clips"),
}
"""What loads the machine -> clips that it trains on, and what it is for people."""
ABOUT = f"""# The server while a worker trains

`python -m benchmarks.responsiveness` asks a real `aftertone serve` with its embedded Redis, over a new connection each
time, while a process beside it trains without pause on all cores, as a worker's job does. Clips are noise of
{SECONDS:g} s. /predict is asked about one task, as when somebody opens it, about a page of the Data Manager
({PAGE} tasks), and about all {TASKS:,} tasks of the project, since Label Studio sends all that are selected in one
call; each task comes with an annotation, and the served round knows every one. Label Studio allows 1,000 ms for a
webhook and for /health, 3,000 ms for /setup, 100,000 ms for /predict. [responsiveness.json](responsiveness.json) has
the same figures for programs.
"""


def train(name: str, clips: int, folder: Path, ready: Event) -> None:
    """Fine-tune over and over until told to stop."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

    from aftertone_model.backbones.backbone import Backbone, load_backbone
    from aftertone_model.config import PRACTICAL, Tuning
    from aftertone_model.data.pool import Pool
    from aftertone_model.labels import SingleChoice
    from aftertone_model.learner import Learner
    from aftertone_model.progress import hide_library_bars
    from aftertone_model.runtime import Runtime

    torch.manual_seed(0)
    hide_library_bars()
    if name == "base":
        Backbone(Wav2Vec2ForPreTraining(Wav2Vec2Config()).eval()).save(folder / "base")
        backbone = load_backbone(str(folder / "base"))
    else:
        backbone = load_backbone(name)
    rng, pool = np.random.default_rng(0), Pool(folder / "pool")
    pooled = [pool.add(rng.normal(0, 0.1, round(16_000 * SECONDS)).astype(np.float32)) for _ in range(clips)]
    labels = {clip.id: np.eye(len(CLASSES))[number % len(CLASSES)] for number, clip in enumerate(pooled)}
    # The whole transformer, however few the labels: the heaviest that a round can be.
    config = replace(PRACTICAL, few_labels_tuning=Tuning.FULL)
    runtime = Runtime(pool=pool, progress=lambda stage, *_: ready.set() if stage == "train" else None)
    learner = Learner(backbone, SingleChoice(classes=CLASSES), runtime, config)
    while True:
        learner.train(labels, {}, pooled)


@contextmanager
def training(name: str, clips: int) -> Iterator[None]:
    """A process that trains meanwhile."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = context.Process(target=train, args=(name, clips, Path(scratch), ready))
        trainer.start()
        try:
            while not ready.wait(1.0):
                if not trainer.is_alive():
                    sys.exit("What was to train has ended; its error is above.")
            time.sleep(SETTLING)
            yield
            if not trainer.is_alive():
                sys.exit("What trained has ended meanwhile; its error is above.")
        finally:
            trainer.kill()
            trainer.join()


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A real `aftertone serve` on a free port, with a project that has rounds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = make_project(folder, clips=TASKS, rounds=3)
    store.connect(Connection(project=1, label_config=LABEL_CONFIG, url="http://localhost:9090"))
    environment = {**os.environ, "MODEL_DIR": str(folder), "HOST": "127.0.0.1", "PORT": str(port), "REDIS_URL": ""}
    environment["LABEL_STUDIO_API_KEY"] = environment.get("LABEL_STUDIO_API_KEY") or "none is asked"
    process = subprocess.Popen([sys.executable, "-m", "aftertone", "serve"], env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        while True:
            try:
                httpx.get(f"{url}/health", timeout=1)
                break
            except httpx.TransportError:
                if process.poll() is not None:
                    sys.exit("The server has ended; its error is above.")
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def rows(count: int) -> list[dict[str, Any]]:
    """Tasks as Label Studio sends them, each with an annotation."""
    moment = "2026-03-02T09:00:00.000000Z"
    return [
        {
            "id": number, "data": {"audio": f"/data/upload/1/{number:08x}-clip.wav", "speaker": f"voice {number % 12}"},
            "meta": {}, "created_at": moment, "updated_at": moment, "is_labeled": True, "overlap": 1,
            "inner_id": number, "total_annotations": 1, "cancelled_annotations": 0, "total_predictions": 1,
            "comment_count": 0, "unresolved_comment_count": 0, "last_comment_updated_at": None, "project": 1,
            "updated_by": 1, "file_upload": 1, "comment_authors": [], "predictions": [],
            "annotations": [{
                "id": number, "completed_by": 1, "was_cancelled": False, "ground_truth": False, "created_at": moment,
                "updated_at": moment, "draft_created_at": None, "lead_time": 4.2, "task": number, "project": 1,
                "unique_id": f"{number:032x}", "prediction": {}, "result_count": 1, "parent_prediction": None,
                "result": [{
                    "id": f"{number:010x}", "from_name": "emotion", "to_name": "audio", "type": "choices",
                    "origin": "manual", "value": {"choices": [CLASSES[number % len(CLASSES)]]},
                }],
            }],
        }
        for number in range(1, count + 1)
    ]  # fmt: skip


def prediction(count: int) -> bytes:
    """What Label Studio sends to /predict for so many tasks."""
    body = {"project": PROJECT, "label_config": LABEL_CONFIG, "params": {}, "tasks": rows(count)}
    return json.dumps(body).encode()


def predict(client: httpx.Client, body: bytes, count: int) -> httpx.Response:
    """Ask for predictions, all of which must be there."""
    reply = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    results = reply.raise_for_status().json()["results"]
    assert len(results) == count
    assert all(row["result"] for row in results)
    return reply


def measure(call: Callable[[], httpx.Response], calls: int) -> dict[str, float]:
    """Percentiles in milliseconds over so many calls, which must all succeed; one before these isn't counted."""
    took = np.empty(calls + 1)
    for number in range(calls + 1):
        began = time.perf_counter()
        call().raise_for_status()
        took[number] = 1000 * (time.perf_counter() - began)
        time.sleep(PAUSE)
    names = {50: "median", 95: "p95", 99: "p99", 100: "max"}
    return {"calls": calls, **{name: round(float(np.percentile(took[1:], q)), 1) for q, name in names.items()}}


def ask(url: str, calls: int) -> dict[str, dict[str, float]]:
    """Figures of each route."""
    # Label Studio opens a connection for each call.
    with httpx.Client(base_url=url, timeout=100, headers={"Connection": "close"}) as client:
        routes: dict[str, tuple[Callable[[], httpx.Response], int]] = {
            "/health": (lambda: client.get("/health"), calls),
            "/setup": (lambda: client.post("/setup", json=SETUP), calls),
            "/webhook": (lambda: client.post("/webhook", json=WEBHOOK), calls),
        }
        for count, times in ((1, calls), (PAGE, calls), (TASKS, max(5, calls // 20))):
            what = f"/predict, {count:,} task{'s' * (count > 1)}"
            routes[what] = partial(predict, client, prediction(count), count), times
        return {route: measure(call, times) for route, (call, times) in routes.items()}


def table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """As Markdown."""
    lines = ["| route | calls | median, ms | p95 | p99 | max |", "| --- | --- | --- | --- | --- | --- |"]
    for route, row in figures.items():
        told = (f"{row[name]:,.1f}" for name in ("median", "p95", "p99", "max"))
        lines.append(f"| {route} | {row['calls']:.0f} | {' | '.join(told)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=400, help="of each route; a twentieth of that for all tasks")
    parser.add_argument("--loads", nargs="+", choices=list(LOADS), default=list(LOADS))
    parser.add_argument("--json", type=Path, help="file to write the figures to as well")
    asked = parser.parse_args(arguments)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `aftertone worker` has it
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count(),
               "torch": version("torch"), "load before": round(os.getloadavg()[0], 1)}  # fmt: skip
    print(ABOUT)
    print(", ".join(f"{name} {value}" for name, value in machine.items()) + ".")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch, server(Path(scratch)) as url:
        for load in asked.loads:
            clips, told = LOADS[load]
            with training(load, clips) if clips else nullcontext():
                found[load] = ask(url, asked.calls)
            print(f"\n## {load.capitalize()}\n\n{told.capitalize()}.\n\n{table(found[load])}", flush=True)
    if asked.json is not None:
        asked.json.write_text(json.dumps({"measured on": machine, "milliseconds": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
