"""The commands that say how projects stand: status, rounds, plan."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from aftertone.cli.explained import explained

if TYPE_CHECKING:
    from aftertone.settings import Settings
    from aftertone.status import Status

EVERY = 2.0  # seconds between two looks of --watch
CLEAR = "\x1b[H\x1b[2J"  # has a terminal begin at the top of an empty screen
ProjectArgument = Annotated[
    int | None, typer.Argument(help="The project's number in Label Studio; every project if unset.", min=1)
]


def status(
    project: ProjectArgument = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, for programs.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Say it again whenever it changes, until Ctrl-C.")] = False,
) -> None:
    """Say how each project stands: labels, rounds, what is being done, what action is required.

    Exits with 2 where something doesn't go on without a person, otherwise with 0. docs/schemas/status.json is the JSON
    schema of --json.
    """
    from aftertone.status import status as read
    from aftertone.store.project import Store

    with explained() as settings:
        store, shown = Store(settings.model_dir), ""
        while True:
            # Tables of scores are only in the JSON.
            found = read(store, None if project is None else [project], brief=not as_json)
            said = found.model_dump_json(by_alias=True) if as_json else _text(found, settings)
            if not watch:
                typer.echo(said)
                raise typer.Exit(2 if found.needs_somebody else 0)
            if said != shown:
                if sys.stdout.isatty() and not as_json:
                    typer.echo(CLEAR, nl=False)
                typer.echo(said if as_json else f"{said}\n")
            shown = said
            time.sleep(EVERY)


def rounds(project: Annotated[int, typer.Argument(help="The project's number in Label Studio.", min=1)]) -> None:
    """List every round of a project: labels, duration, strategy, and how good its model is."""
    from aftertone.status import status as read
    from aftertone.status.text import describe_rounds
    from aftertone.store.project import Store

    with explained() as settings:
        for found in read(Store(settings.model_dir), [project], ask=False, brief=True).projects:
            typer.echo(describe_rounds(found))


def plan(
    project: ProjectArgument = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs, a line per project; names of figures end in their units.")
    ] = False,
) -> None:
    """Say what the next round takes: labels, clips, time, memory and disk, by what the rounds before took.

    Exits with 2 where there is too little room on the disk, otherwise with 0.
    """
    from aftertone.doctor.disk import free
    from aftertone.status.next_round import describe_next, plan_next
    from aftertone.store.project import Store

    with explained() as settings:
        store = Store(settings.model_dir)
        numbers = store.projects() if project is None else [project]
        plans = [plan_next(number, store.kept(number), free(settings.model_dir)) for number in numbers]
        said = [one.model_dump_json() if as_json else describe_next(one) for one in plans]
        typer.echo(("\n" if as_json else "\n\n").join(said) or "No project has connected yet.")
        raise typer.Exit(0 if all(one.fits for one in plans) else 2)


def _text(found: "Status", settings: "Settings") -> str:
    from aftertone.doctor.disk import size
    from aftertone.status import describe

    said = [describe(project, found.workers, found.at) for project in found.projects]
    said += [f"Project {n} can't be used: {why}" for n, why in found.refused.items()]
    said += [f"Project {n} wants to connect, but {why}" for n, why in found.unconfirmed.items()]
    if not said:
        said.append(
            f"No project has connected yet (MODEL_DIR={settings.model_dir}). In Label Studio: Settings > Model > "
            f"Connect Model, with this backend's URL, such as http://localhost:{settings.port}. A worker then asks "
            "Label Studio whether it is so; one must run (`aftertone worker`)."
        )
    else:
        workers = "" if found.workers else "No worker runs: nothing goes on until `aftertone worker` does. "
        said.append(f"{workers}{size(found.free)} are free where MODEL_DIR={settings.model_dir} lies.")
    said += [f"PROBLEM: {problem}" for problem in (found.problem, *found.servers) if problem]
    return "\n\n".join(said)
