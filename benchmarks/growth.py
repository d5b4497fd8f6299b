"""How time grows with the length of clips and with the rounds of a project; for the size of the pool, `acquisition`.

    python -m benchmarks.growth [--out docs/benchmarks]

Writes growth.md and growth.svg. Clips are noise, the backbone is the bundled one, projects are made without training.
"""

import argparse
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("svg")
import matplotlib.pyplot as plt
from starlette.testclient import TestClient

from aftertone.pipeline.figures import save_figures
from aftertone.server.app import create_app
from aftertone.settings import Settings
from aftertone.status import status
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Tasks
from aftertone_model.backbone_names import MINI
from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.backbones.features import extract
from aftertone_model.classification.classifier import new_classifier
from aftertone_model.classification.scoring import score
from aftertone_model.data.clips import SAMPLE_RATE, Clip
from aftertone_model.data.pool import Pool
from aftertone_model.labels import SingleChoice
from aftertone_model.progress import hide_library_bars
from aftertone_model.runtime import Runtime
from benchmarks.machine import processor
from tests.unit.aftertone.made_store import make_project
from tests.unit.aftertone.records import FakeJobs

LENGTHS = (1, 2, 4, 8, 16, 32, 64)  # seconds of a clip
ROUNDS = (1, 3, 10, 30, 100)
CLIPS, POOL = 8, 2_000  # of each length; of each project
RUNS = 5
SCHEMA = SingleChoice(classes=("angry", "happy", "neutral", "sad"))
HEAD = """# Growth with clip length and rounds

Printed by `python -m benchmarks.growth`; growth with the size of the pool stands in
[Cost of strategies](acquisition.md).

![Time by clip length and by rounds](growth.svg)

The exponent is the slope of the least-squares line of log time over the log of what grows: 0 where it doesn't matter,
1 where time is in proportion. The second is that of the larger half, where fixed costs count less.
"""

Times = Mapping[int, float]  # length or rounds -> median seconds


def main() -> None:
    """Measure, and write the page and its figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"), help="folder of what is written")
    out: Path = parser.parse_args().out
    hide_library_bars()
    load = os.getloadavg()[0]
    found = {
        f"Clip length, {CLIPS} clips": ("seconds of each clip", by_length()),
        f"Rounds, {POOL:,} clips": ("rounds", by_rounds()),
    }
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "numpy"))
    lines = [HEAD]
    lines += [
        f"- Machine: {processor()}, {os.cpu_count()} cores, Python {platform.python_version()}; load {load:.1f} before"
    ]
    lines += [f"- Versions: {packages}", f"- Medians of {RUNS} runs after a first, in seconds.", ""]
    for title, (_, series) in found.items():
        sizes = list(next(iter(series.values())))
        lines += [f"## {title}", "", f"| | {' | '.join(map(str, sizes))} | exponent | of the larger half |"]
        lines += [f"| --- |{' --: |' * (len(sizes) + 2)}"]
        for name, times in series.items():
            cells = [f"{seconds:.3g}" for seconds in times.values()]
            larger = {size: times[size] for size in sizes[len(sizes) // 2 :]}
            lines += [f"| {name} | {' | '.join(cells)} | {exponent(times):.2f} | {exponent(larger):.2f} |"]
        lines += [""]
    out.mkdir(parents=True, exist_ok=True)
    (out / "growth.md").write_text("\n".join(lines), encoding="utf-8")
    draw(found, out / "growth.svg")
    print("\n".join(lines))


def by_length() -> Mapping[str, Times]:
    """What is done with clips, by their length."""
    backbone = load_backbone(MINI)
    classifier = new_classifier(backbone, SCHEMA, mix_layers=False, seed=0)
    series: dict[str, dict[int, float]] = {"their CNN frames": {}, "scoring, frames cached": {}}
    for length in LENGTHS:
        with tempfile.TemporaryDirectory() as folder:
            pool, random = Pool(Path(folder)), np.random.default_rng(length)
            noise = 0.1 * random.normal(size=(CLIPS, length * SAMPLE_RATE)).astype(np.float32)
            clips, runtime = [pool.add(clip) for clip in noise], Runtime(pool=pool)

            def frames(pool: Pool = pool, clips: list[Clip] = clips, runtime: Runtime = runtime) -> None:
                shutil.rmtree(pool.folder / "features", ignore_errors=True)
                extract(backbone, clips, runtime)

            series["their CNN frames"][length] = median(frames)
            series["scoring, frames cached"][length] = median(partial(score, classifier, clips, runtime))
    return series


def by_rounds() -> Mapping[str, Times]:
    """What reads a project, by the rounds that it has had."""
    series: dict[str, dict[int, float]] = {"status document": {}, "figures after a label": {}, "page": {}}
    for rounds in ROUNDS:
        with tempfile.TemporaryDirectory() as folder:
            store = make_project(Path(folder), clips=POOL, rounds=rounds)
            settings = Settings(model_dir=Path(folder))  # pyright: ignore[reportCallIssue] -- pydantic's defaults
            client = TestClient(
                create_app(settings, FakeJobs()), base_url="http://localhost", client=("127.0.0.1", 50_000)
            )
            series["status document"][rounds] = median(partial(status, Store(settings.model_dir), ask=False))
            series["figures after a label"][rounds] = median(partial(read_label, store))
            series["page"][rounds] = median(partial(client.get, "/projects/1", headers={"Accept": "text/html"}))
    return series


def read_label(store: ProjectStore) -> None:
    """What the worker does once a label has come."""
    store.save(store.get(Tasks))
    save_figures(store)


def median(work: Callable[[], object]) -> float:
    """Seconds."""
    took: list[float] = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return statistics.median(took[1:])


def exponent(times: Times) -> float:
    """Slope of log time over log size."""
    return float(np.polyfit(np.log(list(times)), np.log(list(times.values())), 1)[0])


def draw(found: Mapping[str, tuple[str, Mapping[str, Times]]], file: Path) -> None:
    """Both, on log-log axes."""
    plt.rcParams["svg.hashsalt"] = "aftertone"  # the same figure from the same numbers
    figure, plots = plt.subplots(1, len(found), figsize=(10, 4.2), layout="constrained")
    for axes, (title, (unit, series)) in zip(plots, found.items(), strict=True):
        for name, times in series.items():
            axes.loglog(list(times), list(times.values()), "o-", ms=3, label=name)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(unit)
        axes.set_ylabel("seconds")
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
