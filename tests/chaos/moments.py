"""When to strike: at once, or as soon as a job is in the middle of something."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.deployment import Deployment

PATIENCE = 4.0  # seconds to wait for a moment before striking anyway
LOOK_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Something that a job does again and again."""

    name: str
    weight: float
    comes: Callable[[Deployment, float], bool]  # waits up to so many seconds for it; whether it came


def at_stage(stage: str) -> Callable[[Deployment, float], bool]:
    """A job reports this stage."""

    def comes(deployment: Deployment, seconds: float) -> bool:
        began, deadline = time.time(), time.monotonic() + seconds
        while time.monotonic() < deadline:
            if any(doing.stage == stage and doing.at >= began for doing in deployment.doing().values()):
                return True
            time.sleep(LOOK_SECONDS)
        return False

    return comes


def at_request(pattern: str) -> Callable[[Deployment, float], bool]:
    """A request from Aftertone is on its way to Label Studio."""
    return lambda deployment, seconds: deployment.to_label_studio.wait_for_request(pattern, seconds)


def at_event(deployment: Deployment, seconds: float) -> bool:
    """Label Studio tells our server something."""
    return deployment.to_server.wait_for_request("POST /webhook", seconds)


MOMENTS = (
    Moment(name="at once", weight=4, comes=lambda *_: True),
    Moment(name="fetch", weight=1, comes=at_request("GET /data/local-files")),
    Moment(name="extract", weight=1, comes=at_stage("extract")),
    Moment(name="adapt", weight=1, comes=at_stage("adapt")),
    Moment(name="train", weight=3, comes=at_stage("train")),
    Moment(name="score", weight=2, comes=at_stage("score")),
    Moment(name="read", weight=1, comes=at_request("GET /api/projects/[0-9]+/export")),
    Moment(name="publish: store", weight=3, comes=at_request("POST /api/projects/[0-9]+/import/predictions")),
    Moment(name="publish: switch", weight=3, comes=at_request("PATCH /api/projects/")),
    Moment(name="publish: delete old", weight=3, comes=at_request("DELETE /api/projects/[0-9]+/model-versions")),
    Moment(name="event", weight=1, comes=at_event),
)


def draw(rng: random.Random) -> Moment:
    """One of them, by weight."""
    return rng.choices(MOMENTS, [moment.weight for moment in MOMENTS])[0]
