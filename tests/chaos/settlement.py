"""The end of a run: everything is up, nobody labels, and every label must be found exactly where it belongs."""

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from aftertone.labelstudio.tasks import UNCERTAINTY, VERSION_PREFIX
from aftertone.store.folder import read_record
from aftertone.store.records import Source, Sources, Tasks
from aftertone.store.round_folder import KEPT_MODELS
from tests.chaos.deployment import Deployment
from tests.chaos.journal import Journal
from tests.chaos.rounds import History

SCRATCH = re.compile(r"\..+\.[0-9a-f]{8}|.*\.part|.*\.corrupt")  # names of what nothing but a write in work may have

SCRATCH_SECONDS = 90.0  # for which it may lie there: somebody might still be writing, and then a look has to come by


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """One annotation in Label Studio."""

    id: int
    task: int
    annotator: Any
    label: str


class Settlement:
    """The accounts of one project, from Label Studio, the store and the journal."""

    def __init__(self, deployment: Deployment, history: History, journal: Journal) -> None:
        self._admin, self._history, self._journal = deployment.host.admin, history, journal
        self._project = history.project
        exported: list[dict[str, Any]] = self._admin.get(f"/api/projects/{self._project}/export", exportType="JSON")
        self.annotations = [
            Annotated(
                id=annotation["id"], task=row["id"], annotator=annotation["completed_by"],
                label=annotation["result"][0]["value"]["choices"][0],
            )
            for row in exported
            for annotation in row["annotations"]
        ]  # fmt: skip
        self.row: dict[str, Any] = self._admin.get(f"/api/projects/{self._project}/")

    def counted(self) -> bool:
        """Whether the newest round knows every annotation, exactly once, and annotators are served it."""
        return not [*self.uncounted(), *self.unserved()]

    def uncounted(self) -> Iterator[str]:
        """Labels that the newest round doesn't know as they are."""
        newest = self._history.newest
        if newest is None:
            yield "there is no round"
            return
        expected = self._labels(newest.classes)
        found = {**newest.labelled, **newest.tested}
        if missing := expected.keys() - found.keys():
            yield f"round {newest.number} misses {len(missing)} of {len(expected)} labelled clips"
        if more := found.keys() - expected.keys():
            yield f"round {newest.number} knows labels of {len(more)} clips that nobody labelled"
        if other := [c for c in expected.keys() & found.keys() if not np.allclose(expected[c], found[c])]:
            yield f"round {newest.number} has other labels than Label Studio for {len(other)} clips"

    def unserved(self) -> Iterator[str]:
        """What is wrong with the queue in Label Studio."""
        newest, served = self._history.newest, self._history.served
        if newest is None or served is None or self._history.current != newest.number:
            yield f"annotators are served round {self._history.current}, not the newest"
            return
        existing = {row["id"] for row in self._admin.tasks(self._project)}
        published = [task for task in served.published if task in existing]
        if not published:
            return  # everything was labelled by the time of the round: there is no order to serve
        if self.row["model_version"] != served.version or self.row["sampling"] != UNCERTAINTY:
            yield (
                f"the project serves {self.row['model_version']!r} by {self.row['sampling']!r}, not {served.version!r}"
            )
        rows = self._admin.get("/api/predictions", project=self._project)
        stored = Counter((row["model_version"], row["task"]) for row in rows)
        ours = {key: count for key, count in stored.items() if str(key[0]).startswith(VERSION_PREFIX)}
        if doubled := [key for key, count in ours.items() if count > 1]:
            yield f"{len(doubled)} predictions are stored more than once"
        if ours.keys() != {(served.version, task) for task in published}:
            yield (
                f"Label Studio holds {len(ours)} predictions of {sorted({key[0] for key in ours})}, "
                f"round {newest.number} has {len(published)} of {served.version}"
            )

    def check(self) -> Iterator[str]:
        """Everything that must hold in the end; yields a sentence for what doesn't."""
        yield from self.uncounted()
        yield from self.unserved()
        known = {annotation.id: (annotation.task, annotation.label) for annotation in self.annotations}
        confirmed = self._journal.labels(self._project)
        if lost := [number for number, label in confirmed.items() if known.get(number) != label]:
            yield f"{len(lost)} annotations that Label Studio confirmed aren't there any more: {lost[:5]}"
        sent = self._journal.attempted(self._project)
        if foreign := [one.id for one in self.annotations if one.label not in sent.get(one.task, ())]:
            yield f"{len(foreign)} annotations were never sent: {foreign[:5]}"
        tasks = read_record(Tasks, self._history.folder / Tasks.FILE).cache
        per_task = Counter(annotation.task for annotation in self.annotations)
        if {task.id: task.annotations for task in tasks.tasks if task.annotations} != per_task:
            yield "the store counts other annotations per task than Label Studio"
        if len(tasks.tasks) != self.row["task_number"]:
            yield f"the store knows {len(tasks.tasks)} of {self.row['task_number']} tasks"
        usable = self._clips().keys() | self._tried_again()
        if unusable := [task.id for task in tasks.tasks if task.source not in usable]:
            yield f"{len(unusable)} tasks have no clip although their audio is well: {unusable[:5]}"
        yield from self._weights()

    def _labels(self, classes: tuple[str, ...]) -> Mapping[str, list[float]]:
        """Clip -> share of each class among the annotators' latest answers."""
        tasks = read_record(Tasks, self._history.folder / Tasks.FILE).cache.tasks
        source, clips = {task.id: task.source for task in tasks}, self._clips()
        latest = {(one.task, one.annotator): one for one in sorted(self.annotations, key=lambda one: one.id)}
        votes: dict[str, Counter[str]] = {}
        for one in latest.values():
            clip = clips.get(source.get(one.task, ""), f"of task {one.task}")
            votes.setdefault(clip, Counter())[one.label] += 1
        return {clip: [count[label] / count.total() for label in classes] for clip, count in votes.items()}

    def _clips(self) -> dict[str, str]:
        """Audio address -> clip."""
        return {url: source.clip for url, source in self._sources().items() if source.clip is not None}

    def _tried_again(self) -> set[str]:
        """Audio addresses whose download or decoder was killed; they are tried again ten minutes later."""
        return {url for url, source in self._sources().items() if source.retry}

    def _sources(self) -> dict[str, Source]:
        return read_record(Sources, self._history.folder / Sources.FILE).sources

    def _weights(self) -> Iterator[str]:
        trained = sorted(number for number, record in self._history.rounds.items() if record.kind == "trained")
        for number in trained[-KEPT_MODELS:]:
            folder = self._history.folder / "rounds" / f"{number:03d}" / "model"
            try:
                for file in sorted(folder.glob("*.safetensors")):
                    with safe_open(file, framework="numpy") as weights:
                        for name in weights.keys():  # noqa: SIM118 -- no mapping
                            weights.get_tensor(name)
                if not list(folder.glob("*.safetensors")):
                    yield f"round {number} has no weights"
            except (OSError, SafetensorError) as error:
                yield f"round {number}'s weights can't be read: {error}"
        if extra := [n for n in trained[:-KEPT_MODELS] if (self._round(n) / "model").exists()]:
            yield f"rounds {extra} still have weights"

    def _round(self, number: int) -> Path:
        return self._history.folder / "rounds" / f"{number:03d}"


def scratch(folder: Path) -> list[str]:
    """Files and folders that a write left behind long enough ago to be gone by now, or that were set aside."""
    old = time.time() - SCRATCH_SECONDS
    found = (path for path in folder.rglob("*") if SCRATCH.fullmatch(path.name))
    return sorted(str(path.relative_to(folder)) for path in found if path.stat().st_mtime < old)
