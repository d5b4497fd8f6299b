"""How long a project waits for its machine: each batch, and all of them up to a share of the labels.

    python -m benchmarks.whole_project MANIFEST [--share 0.2] [--out docs/benchmarks/whole-project.md]

Plays a project with all clips of a labelled corpus, with the defaults: import, TAPT, seed set, and rounds whose batches
are answered at once, until that share of the clips has labels. Then trains once on all labels, without TAPT, as the
paper does it (preset `paper`: the whole transformer, to its early stop), and judges the same held-out clips. Label
Studio is a fake in this process, which answers at once, so that all time is Aftertone's.
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from aftertone.settings import Settings
from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.backbones.mini import MINI
from aftertone_model.classification.finetune import FineTuned, finetune
from aftertone_model.classification.scoring import score
from aftertone_model.config import PAPER
from aftertone_model.data.manifest import read_manifest
from aftertone_model.evaluation.metrics import Metrics
from aftertone_model.labels import LabelSchema
from aftertone_model.progress import hide_library_bars
from aftertone_model.runtime import Runtime
from benchmarks.machine import measure_machine
from benchmarks.played_corpus import Corpus
from tests.unit.aftertone.loops import MemoryLoop, connect

STEPS = {
    "fetch audio": "fetch and decode audio",
    "adapt the backbone": "TAPT, CNN frames included",
    "find the seed set": "the seed set",
    "train": "train",
    "rank the pool": "score and rank",
    "publish the queue": "publish",
}


class Watch(logging.Handler):
    """Keeps the seconds that steps say they took."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "action", "") == "step_done" and isinstance(record.args, tuple):
            self.seconds[str(record.args[1])].append(float(str(record.args[2])))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """From the last label of a batch to the next one served."""

    labels: int  # so far
    seconds: float
    parts: dict[str, float]  # by step, looks being the rest


def main() -> int:
    """Play, train once on everything, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="columns path, emotion, speaker")
    parser.add_argument("--clips", type=int, help="the first so many; all by default")
    parser.add_argument("--share", type=float, default=0.2, help="of the clips, to label")
    parser.add_argument("--out", type=Path, help="the page; printed otherwise")
    asked = parser.parse_args()
    hide_library_bars()
    logging.getLogger("aftertone").setLevel(logging.INFO)
    rows = [row for row in read_manifest(asked.manifest) if row.emotion and row.speaker][: asked.clips]
    machine = measure_machine(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as name:
        watch = Watch()
        logging.getLogger("aftertone.pipeline.advance").addHandler(watch)
        corpus = Corpus(rows)
        loop, start, batches = play(corpus, Path(name), asked.share, watch)
        page = _page(asked.share, machine.lines(), loop, start, batches, watch, train_on_all(loop, corpus))
    if asked.out:
        asked.out.write_text(page, encoding="utf-8")
    else:
        print(page)
    return 0


def play(studio: Corpus, folder: Path, share: float, watch: Watch) -> tuple[MemoryLoop, float, list[Batch]]:
    """The loop, seconds until the seed set was served, and every batch."""
    rows, settings = studio.rows, Settings.model_validate({"model_dir": folder / "model"})
    loop = connect(studio, settings, Path(MINI), {})
    defaults = {name: getattr(settings, name) for name in ("seed_size", "batch_size", "test_share")}
    loop.settings = loop.settings.model_copy(update=defaults)
    start, batches, labels = _advance(loop), list[Batch](), 0
    while labels < share * len(rows) or not batches:
        before = {step: sum(took) for step, took in watch.seconds.items()}
        queue = studio.queue()
        assert queue, "the queue is empty"
        for task in queue[: loop.last.batch]:
            studio.annotate(task, str(rows[task - 1].emotion))
            labels += 1
        number = loop.last.number
        seconds = _advance(loop)
        if loop.last.number == number:
            continue  # more labels are wanted before anything is learned
        parts = {step: sum(took) - before.get(step, 0.0) for step, took in watch.seconds.items()}
        batches.append(Batch(labels=labels, seconds=seconds, parts={k: v for k, v in parts.items() if v}))
        print(f"{labels} labels: {seconds:.1f} s, {loop.last.metrics}", file=sys.stderr, flush=True)
    return loop, start, batches


def _advance(loop: MemoryLoop) -> float:
    began = time.perf_counter()
    loop.advance()
    assert loop.problem == "", loop.problem
    return time.perf_counter() - began


def train_on_all(loop: MemoryLoop, corpus: Corpus) -> tuple[FineTuned, float, float]:
    """One training with the label of every clip that isn't held out, its seconds, and its UA on those that are."""
    store, schema = loop.store, loop.last.label_schema
    state = store.load()
    emotions: dict[str, str] = {}
    speakers: dict[str, str | None] = {}
    for address, source in state.sources.items():
        if source.clip is not None:
            row = corpus.row(address)
            emotions[source.clip], speakers[source.clip] = str(row.emotion), row.speaker
    clips = [replace(store.pool.clip(id), speaker=speakers[id]) for id in emotions]
    test = [clip for clip in clips if clip.file in state.test_clips]
    training = [clip for clip in clips if clip.file not in state.test_clips]
    runtime, backbone = Runtime(pool=store.pool), load_backbone(str(MINI))
    began = time.perf_counter()
    tuned = finetune(backbone, schema, training, _one_hot(schema, [emotions[c.id] for c in training]), PAPER, runtime)
    seconds = time.perf_counter() - began
    predicted = schema.predictions(score(tuned.classifier, test, runtime).logits)
    truth = _one_hot(schema, [emotions[clip.id] for clip in test])
    measured = schema.measure(truth, predicted, [clip.speaker for clip in test])
    assert isinstance(measured, Metrics)
    return tuned, seconds, measured.ua.value


def _one_hot(schema: LabelSchema, emotions: list[str]) -> np.ndarray:
    return np.eye(len(schema.classes))[[schema.classes.index(emotion) for emotion in emotions]]


def _page(
    share: float,
    machine: list[str],
    loop: MemoryLoop,
    start: float,
    batches: list[Batch],
    watch: Watch,
    all_labels: tuple[FineTuned, float, float],
) -> str:
    tuned, seconds, ua = all_labels
    whole, known = start + sum(batch.seconds for batch in batches), loop.last.metrics
    assert isinstance(known, Metrics)
    steps = {name: sum(watch.seconds.get(step, [])) for step, name in STEPS.items()}
    steps["look at Label Studio and the store, all else"] = whole - sum(steps.values())
    typical = {name: statistics.median(batch.parts.get(step, 0.0) for batch in batches) for step, name in STEPS.items()}
    waited = sorted(batch.seconds for batch in batches)
    typical = {name: took for name, took in typical.items() if took}
    typical["look at Label Studio and the store, all else"] = statistics.median(
        batch.seconds - sum(batch.parts.values()) for batch in batches
    )
    pool = loop.store.load()
    return "\n".join(
        [
            "# The time of a whole project",
            "",
            f"Written by `python -m benchmarks.whole_project MANIFEST --share {share}`: {len(pool.sources):,} tasks, "
            f"{MINI}, the defaults, a fake Label Studio that answers at once; annotators who do, too.",
            "",
            *machine,
            "",
            f"From connecting to the served seed set {start:.0f} s; then {len(batches)} batches up to "
            f"{batches[-1].labels} labels. Together {whole:.0f} s; the annotators' own time isn't counted.",
            "",
            "| all together | s |",
            "| --- | --: |",
            *(f"| {name} | {took:.1f} |" for name, took in steps.items()),
            "",
            f"## From a batch's last label to the next batch: {statistics.median(waited):.1f} s",
            "",
            f"Median of {len(batches)}; {waited[0]:.1f} to {waited[-1]:.1f} s.",
            "",
            "| part | s |",
            "| --- | --: |",
            *(f"| {name} | {took:.2f} |" for name, took in typical.items()),
            "",
            "## Beside one training on all labels",
            "",
            f"Preset `paper` without TAPT trained {len(tuned.losses)} passes until its early stop, in {seconds:.0f} s, "
            f"the clips' CNN frames at hand, and came to UA {ua:.3f} on all held-out clips. The project above took "
            f"{whole / seconds:.0%} of that time and came to UA {known.ua.written(3)} on the {known.clips} of them "
            "that had a label.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
