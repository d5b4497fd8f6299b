"""The commands that work on projects of a Label Studio: serve, host, worker, doctor, clean, demo."""

import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from aftertone.cli.explained import explained
from aftertone_model.progress import hide_library_bars


def serve() -> None:
    """Answer Label Studio. Runs beside at least one `aftertone worker`."""
    from aftertone.server.serving import serve as run_server

    with explained() as settings:
        # uvicorn repeats the signal that ended it; unheeded, SIGTERM would skip the embedded Redis' end.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        run_server(settings)


def worker() -> None:
    """Do the work: fetch audio, adapt, train, rank, publish. Any number may run."""
    from aftertone.pipeline.worker import run_worker

    with explained() as settings:
        run_worker(settings)


def doctor(
    project: Annotated[int | None, typer.Argument(help="The project's number; every project if unset.")] = None,
    mend: Annotated[bool, typer.Option("--mend", help="Mend what can be mended safely.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, for programs.")] = False,
) -> None:
    """Examine Label Studio, Redis, this machine and the projects: what is wrong, why it matters and how to cure it.

    Exits with 2 where there is a problem, otherwise with 0.
    """
    from aftertone.examination import describe, examine_all
    from aftertone.store.project import Store

    with explained() as settings:
        found = list(examine_all(settings, Store(settings.model_dir), project, mend=mend))
        if as_json:
            typer.echo(json.dumps([one.as_json() for one in found], ensure_ascii=False, indent=1))
        else:
            typer.echo("\n".join(map(describe, found)) or "All is well.")
        raise typer.Exit(2 if any(one.needs_somebody for one in found) else 0)


def host(folder: Annotated[Path, typer.Argument(help="Folder to write; must not exist yet.")]) -> None:
    """Write a folder for `label-studio-ml start`, in place of `aftertone serve`; a worker runs beside it too."""
    from aftertone.hosting import write_host

    with explained():
        write_host(folder)
        typer.echo(f"Start it by `label-studio-ml start {folder}`, and an `aftertone worker` with the same settings.")


def clean(
    project: Annotated[int | None, typer.Argument(help="The project's number; every project if unset.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would go, and remove nothing.")] = False,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="List projects that Label Studio no longer has; with --yes, remove them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what --deleted lists.")] = False,
) -> None:
    """Give disk back: what was made for clips and backbones that have gone, old damage, what killed processes left."""
    from aftertone.clean import clean_projects, deleted_projects, forget_project
    from aftertone.errors import StoreError
    from aftertone.faults import unwritable
    from aftertone.labelstudio.client import LabelStudio
    from aftertone.store.project import Store

    with explained() as settings:
        hide_library_bars()
        if problem := unwritable(settings.model_dir):
            raise StoreError(problem)
        store = Store(settings.model_dir)
        numbers = store.folders() if project is None else [project]
        if deleted:
            key = settings.label_studio_api_key.get_secret_value()
            label_studio = LabelStudio(settings.label_studio_url, key, timeout=settings.label_studio_timeout)
            gone = list(deleted_projects(label_studio, numbers))
            for number in gone:
                typer.echo(forget_project(store, number, dry_run=dry_run or not yes))
            if not gone:
                typer.echo(f"Label Studio at {settings.label_studio_url} still has every project that is kept here.")
        else:
            for line in clean_projects(store, numbers, dry_run=dry_run):
                typer.echo(line)


def demo(
    audio: Annotated[
        Path | None, typer.Option(envvar="AUDIO", help="Folder or manifest.csv; spoken clips if unset.")
    ] = None,
    limit: Annotated[int | None, typer.Option(envvar="LIMIT", min=1, help="Use only so many clips.")] = None,
    oracle: Annotated[
        bool, typer.Option(envvar="ORACLE", help="Label from the manifest instead of by a person.")
    ] = False,
    rounds: Annotated[int, typer.Option(envvar="ROUNDS", min=1, help="Rounds that the oracle labels for.")] = 3,
    folder: Annotated[Path, typer.Option(help="Where the demo keeps everything.")] = Path(".demo"),
) -> None:
    """Start a real Label Studio, connect this backend to it and open the queue."""
    from aftertone.demo.run import demo as run_demo

    with explained():
        raise typer.Exit(run_demo(audio=audio, limit=limit, oracle=oracle, rounds=rounds, folder=folder))
