"""The commands that steer a project: pause, resume, cancel, rollback, train, adapt, set, forget."""

from collections.abc import Callable
from contextlib import closing
from typing import Annotated

import typer

from aftertone.cli.explained import explained

ProjectArgument = Annotated[int, typer.Argument(help="The project's number in Label Studio.", min=1)]


def pause(project: ProjectArgument) -> None:
    """Learn nothing more for a project until `resume`. A step under way ends; the queue is still looked after."""
    _do(lambda steering: steering.pause(project))


def resume(project: ProjectArgument) -> None:
    """Go on with a project that was paused."""
    _do(lambda steering: steering.resume(project))


def cancel(project: ProjectArgument) -> None:
    """End the step under way, throw away what it has begun, and pause the project."""
    _do(lambda steering: steering.cancel(project))


def rollback(
    project: ProjectArgument,
    number: Annotated[int, typer.Option("--round", min=0, help="The round that counts as the newest from now on.")],
) -> None:
    """Serve and export an earlier round as the newest. Later rounds are kept; labels stay as they are."""
    _do(lambda steering: steering.rollback(project, number))


def train(project: ProjectArgument) -> None:
    """Train now, on the labels there are."""
    _do(lambda steering: steering.train(project))


def adapt(project: ProjectArgument) -> None:
    """Adapt the backbone again, to a pool that has grown since. The queue goes on meanwhile."""
    _do(lambda steering: steering.adapt(project))


def set_options(
    project: ProjectArgument,
    options: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="`key=` takes an option back.")],
) -> None:
    """Set options of a project, such as batch_size=50; they win over its extra params in Label Studio."""
    given: dict[str, str | None] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{option!r} isn't of the form key=value")
        given[name] = value or None
    _do(lambda steering: steering.set(project, given))


def forget(
    project: ProjectArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Really remove it.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also while it is connected in Label Studio.")] = False,
) -> None:
    """Remove all that is kept of a project; in Label Studio nothing changes."""
    _do(lambda steering: steering.forget(project, yes=yes, force=force))


def _do(what: Callable[..., str]) -> None:
    from redis import RedisError

    from aftertone.labelstudio.client import LabelStudio
    from aftertone.pipeline.jobs import JobQueue
    from aftertone.steering import Steering

    with explained() as settings:

        def wake(project: int) -> bool:
            try:
                JobQueue.connect(settings.redis_url, settings.model_dir).tell(project)
            except RedisError:  # a hint that every worker can do without
                return False
            return True

        def ask() -> closing[LabelStudio]:
            key = settings.label_studio_api_key.get_secret_value()
            return closing(LabelStudio(settings.label_studio_url, key, timeout=settings.label_studio_timeout))

        typer.echo(what(Steering(settings, wake, ask)))
