"""Small builders of the backend's records."""

from collections.abc import Mapping
from typing import Any

from aftertone.labelstudio.label_config import Question
from aftertone.labelstudio.tasks import UNCERTAINTY, Answer, Snapshot, Task, Webhook
from aftertone.pipeline.jobs import Degraded, JobQueue
from aftertone.store.rounds import Round
from aftertone_model.labels import SingleChoice
from aftertone_model.pretraining.record import Adaptation

ADAPTED = Adaptation(
    kept=True,
    reason="The loss fell.",
    clips=4,
    seconds_of_audio=9.0,
    held_out=1,
    mask_ratio=0.15,
    steps=10,
    seconds=1.0,
    seed=0,
    settings={},
    curve=(),
)
SCHEMA = SingleChoice(classes=("neutral", "happy", "sad"))
QUESTION = Question(audio="audio", field="audio", control="emotion", schema=SCHEMA)


def make_snapshot(answers: Mapping[int, Answer] | int = 0, **fields: Any) -> Snapshot:
    """A project whose task i holds the audio "/a/i" and the given answers; a number makes that many open tasks."""
    if isinstance(answers, int):
        answers = {i: Answer() for i in range(1, answers + 1)}
    tasks = {i: Task(id=i, source=f"/a/{i}", answer=answer) for i, answer in answers.items()}
    settings = {
        "title": "t",
        "sampling": UNCERTAINTY,
        "model_version": "",
        "predictions": {},
        "overlap": 1,
        "webhooks": (Webhook(id=1, url="http://b/webhook"),),
    }
    return Snapshot(**{"project": 1, "question": QUESTION, "tasks": tasks, **settings, **fields})


def make_round(number: int = 0, **fields: Any) -> Round:
    """A round of three published tasks that waits for two labels."""
    made = {"kind": "seed", "created_at": "2026-01-01T00:00:00Z", "seed": 0, "strategy": "kmeans", "batch": 2}
    return Round(**{"number": number, "classes": QUESTION.classes, "published": (1, 2, 3), **made, **fields})


class FakeJobs(JobQueue):
    """A job queue that only remembers who was woken."""

    def __init__(self) -> None:
        self.woken: list[int] = []
        self.alarms: list[tuple[int, float]] = []  # project, seconds
        self.degraded: list[Degraded] = []

    def check(self) -> None:
        """It is there."""

    def wake(self, project: int, after: float = 0.0) -> None:
        if after > 0:
            self.alarms.append((project, after))
        else:
            self.woken.append(project)

    def depth(self) -> int:
        return len(self.woken)

    def health(self) -> list[Degraded]:
        return list(self.degraded)
