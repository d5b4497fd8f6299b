"""What a project does now, in one sentence that never contradicts the rest."""

import math

from aftertone.status.document import Activity, ProjectStatus
from aftertone.status.moments import ago, pace

STALE = 300.0  # seconds after which a report of a stage under way, and no worker, means that it ended


def headline(project: ProjectStatus, workers: int, now: float) -> str:
    """What is being done, or that something doesn't go on: never both, as if nothing were wrong.

    Args:
        workers: that run.
        now: epoch seconds.
    """
    doing, problem = project.doing, project.problem
    if project.refused and problem:
        return f"can't be used: {project.refused}"
    if problem is not None and (doing is None or doing.at <= problem.at):
        often = f", {problem.times} times in a row" if problem.times > 1 else ""
        return f"can't {problem.step}{often} ({ago(problem.at, now)})"
    if project.paused is not None:
        return f"paused {ago(project.paused, now)}"
    if doing is None:
        return "connected; no worker has looked at it yet" + ("" if workers else " (start `aftertone worker`)")
    if doing.total and not workers and now - doing.at > STALE:
        return f"stopped during {_far(doing)}, as no worker runs ({ago(doing.at, now)})"
    again = f"tries again to {problem.step}: " if problem is not None else ""
    return f"{again}{activity(doing)} ({ago(doing.at, now)})"


def activity(doing: Activity) -> str:
    """How far it is, how fast it goes and how long it takes."""
    speed = f", {pace(doing.rate)}" if doing.rate and doing.total else ""
    left = f", about {math.ceil(doing.left / 60)} min left" if doing.left else ""
    return f"{_far(doing)}{speed}{left}"


def _far(doing: Activity) -> str:
    return f"{doing.stage} {doing.done}/{doing.total}" if doing.total else doing.stage
