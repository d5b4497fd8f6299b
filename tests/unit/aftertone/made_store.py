"""A store with rounds in it, written without training anything: for pages, commands and benchmarks that only read."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aftertone.labelstudio.tasks import Answer, Task, TaskCache, Work
from aftertone.pipeline.figures import save_figures
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import (
    Connection,
    DiskUse,
    Doing,
    Finding,
    HeldOut,
    LearnedQuestion,
    Source,
    Sources,
    Tasks,
    Warnings,
)
from aftertone.store.round_scores import Score
from aftertone.store.rounds import Doubt, Draft, RandomShare, Round, TrainingRecord
from aftertone_model.data.pool import Pool
from aftertone_model.evaluation.metrics import Metrics, measure

CLASSES = ("neutral", "happy", "angry", "sad")
SHARES = (0.55, 0.2, 0.15, 0.1)  # of the classes in the pool
SECONDS = 1.0  # of each clip
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BATCH = 20


def make_project(
    model_dir: Path, project: int = 1, *, clips: int = 200, rounds: int = 3, sounds: bool = False, seed: int = 0
) -> ProjectStore:
    """A connected project whose newest round waits for labels.

    Args:
        rounds: that were trained, after the seed set.
        sounds: whether the pool has audio, a tone per clip that tells its class.
    """
    random = np.random.default_rng([seed, project])
    store = Store(model_dir).project(project)
    truth = random.choice(len(CLASSES), size=clips, p=SHARES)  # (N,)
    ids = _sounds(store, truth, random) if sounds else [f"{number:032x}" for number in range(1, clips + 1)]
    held_out = random.random(clips) < 0.2
    queue = random.permutation(clips)
    _save_records(store, project, ids, held_out, rounds)
    known: list[int] = []
    for number in range(rounds + 1):
        quality = 0.5 + 2.5 * number / (rounds + 1)
        logits = random.normal(size=(clips, len(CLASSES))) + quality * np.eye(len(CLASSES))[truth] + np.log(SHARES)
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        asked = [row for row in queue.tolist() if row not in set(known)][: 3 * BATCH]
        recent = number >= rounds - 3  # the others' tables are read by nobody
        rows = clips if recent else min(clips, 100)
        _save_round(store, number, ids, truth, shares if number else None, held_out, known, asked, rows)
        known += asked[:BATCH] if number < rounds else asked[: BATCH // 3]
    _save_tasks(store, ids, truth, known, random)
    store.set_current(rounds)
    save_figures(store)
    return store


def _sounds(store: ProjectStore, truth: NDArray[np.integer], random: np.random.Generator) -> list[str]:
    pool, moments = Pool(store.folder / "pool"), np.arange(int(SECONDS * 16_000)) / 16_000
    found = []
    for label in truth.tolist():
        pitch = 160 * 1.4**label * random.uniform(0.95, 1.05)
        voice = sum(np.sin(2 * np.pi * pitch * part * moments) / part for part in (1, 2, 3, 4))
        wave = 0.2 * voice * (1 + 0.5 * np.sin(2 * np.pi * 4 * moments)) + 0.01 * random.standard_normal(len(moments))
        found.append(pool.add(wave.astype(np.float32)).id)
    return found


def _save_records(
    store: ProjectStore, project: int, ids: Sequence[str], held_out: NDArray[np.bool_], rounds: int
) -> None:
    store.connect(Connection(project=project, label_config="<View/>"))
    store.save(LearnedQuestion(name="emotion", tag="Choices", kind="single-choice", classes=CLASSES))
    store.save(Sources(sources={f"/a/{row}": Source(clip=clip, seconds=SECONDS) for row, clip in enumerate(ids, 1)}))
    store.save(HeldOut(clips=dict(zip(ids, held_out.tolist(), strict=True))))
    store.save(
        Warnings(findings=(Finding(key="tab-order", severity="note", what="The tab Default has an order of its own."),))
    )
    store.save(Doing(stage=f"waiting for labels: 6 of 20 since round {rounds}", done=0, total=0, at=time.time()))
    store.save(
        DiskUse(pool=64_000_000, features=96_000_000, rounds=9_000_000, adapted=380_000_000, other=2_000_000,
                at=time.time(), current=3)
    )  # fmt: skip


def _save_tasks(
    store: ProjectStore, ids: Sequence[str], truth: NDArray[np.integer], known: Sequence[int],
    random: np.random.Generator,
) -> None:  # fmt: skip
    answered = {row: place for place, row in enumerate(known)}
    tasks = []
    for row in range(len(ids)):
        who, label = str(1 + row % 3), CLASSES[truth[row]]
        moment = (START + timedelta(seconds=9 * answered.get(row, 0))).isoformat().replace("+00:00", "Z")
        work = Work(annotator=who, at=moment, changed=moment, seconds=float(random.uniform(3, 9)), chosen=(label,))
        given = Answer(votes={label: 1.0}, voters=1, by={who: (label,)}) if row in answered else Answer()
        tasks.append(
            Task(
                id=row + 1, source=f"/a/{row + 1}", speaker=f"voice {row % 12}", updated_at=moment,
                annotations=int(row in answered), answer=given, work=(work,) if row in answered else (),
            )
        )  # fmt: skip
    store.save(Tasks(cache=TaskCache(tasks=tuple(tasks), total=len(known), read_to=START.isoformat())))


def _save_round(
    store: ProjectStore, number: int, ids: Sequence[str], truth: NDArray[np.integer],
    shares: NDArray[np.float64] | None, held_out: NDArray[np.bool_], known: Sequence[int], asked: Sequence[int],
    rows: int,
) -> None:  # fmt: skip
    one_hot = np.eye(len(CLASSES))[truth]
    labelled = {ids[row]: tuple(one_hot[row]) for row in known if not held_out[row]}
    tested = {ids[row]: tuple(one_hot[row]) for row in known if held_out[row]}
    ranks = {row: rank for rank, row in enumerate(asked, 1)}
    order = [*asked, *(row for row in range(len(ids)) if row not in ranks)]
    scores = [
        Score(
            task=row + 1,
            clip=ids[row],
            rank=ranks.get(row),
            acquisition=float(1 / (1 + place)),
            cluster=row % 8,
            predictions=() if shares is None else tuple(map(float, shares[row])),
        )
        for place, row in enumerate(order[:rows])
    ]
    record = Round(
        number=number,
        kind="trained" if shares is not None else "seed",
        created_at=(START + timedelta(hours=number)).isoformat(),
        question="emotion",
        classes=CLASSES,
        seed=0,
        strategy="entropy-clustering" if number else "kmeans",
        batch=BATCH,
        published=tuple(row + 1 for row in asked),
        labelled=labelled,
        tested=tested,
        metrics=_metrics(truth, shares, held_out, known[:400]) if shares is not None else None,
        training=_training(len(labelled)) if shares is not None else None,
        relabel=tuple(
            Doubt(task=row + 1, clip=ids[row], score=0.1, reason="the model is sure of another answer")
            for row in known[:2]
        ),
        random_share=_random_share(number),
        advice="Keep labelling: the test set can't tell yet whether UA still improves." if number else "",
        gain=(0.031, 0.004, 0.058) if number > 2 else None,
        seconds={"train": 41.0, "rank": 12.0} if number else {"seed": 9.0},
    )
    if shares is None:
        store.save_seed(record, scores)
        return
    draft = Draft(**{name: getattr(record, name) for name in Draft.model_fields})
    store.save_draft(draft, lambda folder: folder.mkdir())
    spread = np.random.default_rng(3).normal(size=(len(ids), 8)) + 3 * np.eye(8)[truth]  # (N, 8) told by class
    store.complete_round(record, scores, spread[np.argsort(np.array(ids))].astype(np.float16))


def _metrics(
    truth: NDArray[np.integer], shares: NDArray[np.float64], held_out: NDArray[np.bool_], known: Sequence[int]
) -> Metrics | None:
    tested = [row for row in known if held_out[row]]
    return measure(truth[tested], shares[tested], CLASSES) if tested else None


def _random_share(number: int) -> RandomShare | None:
    """Of two rounds before."""
    if number < 3 or number % 2 == 0:
        return None
    random = np.random.default_rng(number)
    truth = random.choice(len(CLASSES), size=30, p=SHARES)
    told = np.eye(len(CLASSES))[truth] * 0.15 * number**0.5 + random.random((30, len(CLASSES)))
    metrics = measure(truth, told / told.sum(axis=1, keepdims=True), CLASSES)
    return RandomShare(metrics=metrics, labels=(number - 1.5) * BATCH, rounds=(number - 2, number - 1))


def _training(labels: int) -> TrainingRecord:
    return TrainingRecord(
        tuning="probe", warm=False, updates=100, retries=0, collapsed=False, train_accuracy=0.9, losses=(1.2, 0.7),
        per_class=tuple(labels / len(CLASSES) for _ in CLASSES), temperature=1.0, backbone="aftertone-mini",
    )  # fmt: skip
