"""The command line, `aftertone`: what it can do is what `aftertone --help` lists."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from aftertone.faults import explain
from aftertone.logs import configure_logging
from aftertone.settings import Settings, load_settings
from aftertone_model.progress import hide_library_bars

app = typer.Typer(
    help="A Label Studio ML backend that learns speech emotion from a fifth of the labels. Settings are environment "
    "variables; see docs/settings.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ProjectArgument = Annotated[int, typer.Argument(help="The project's number in Label Studio.")]


@contextmanager
def _explained() -> Iterator[Settings]:
    """The settings; an error that a user can correct ends the command with its message alone."""
    try:
        settings = load_settings()
        configure_logging(settings.log_format)
        yield settings
    except BrokenPipeError:
        raise  # whoever read our output has read enough; typer ends quietly
    except Exception as error:
        if (message := explain(error)) is None:
            raise
        typer.echo(f"aftertone: {message}", err=True)
        raise typer.Exit(1) from None


@app.command()
def serve() -> None:
    """Answer Label Studio. Runs beside at least one `aftertone worker`."""
    from aftertone.server.serving import serve as run_server

    with _explained() as settings:
        # uvicorn repeats the signal that ended it; unheeded, SIGTERM would skip the embedded Redis' end.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        run_server(settings)


@app.command()
def worker() -> None:
    """Do the work: fetch audio, adapt, train, rank, publish. Any number may run."""
    from aftertone.pipeline.worker import run_worker

    with _explained() as settings:
        run_worker(settings)


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Everything, for programs.")] = False) -> None:
    """Say how each project stands: labels, rounds, what is being done, what action is required.

    Exits with 2 where something doesn't go on without a person, otherwise with 0.
    """
    from aftertone.status import describe, needs_somebody, size
    from aftertone.status import status as everything
    from aftertone.store.project import Store

    with _explained() as settings:
        found = everything(Store(settings.model_dir))
        if as_json:
            typer.echo(json.dumps(found, ensure_ascii=False, indent=1))
        elif found["projects"] or found["unconfirmed"]:
            said = [describe(project) for project in found["projects"]]
            said += [f"Project {n} wants to connect, but {why}" for n, why in found["unconfirmed"].items()]
            typer.echo("\n\n".join(said))
            typer.echo(f"\n{size(found['free'])} are free where MODEL_DIR={settings.model_dir} lies.")
        else:
            typer.echo(
                f"No project has connected yet (MODEL_DIR={settings.model_dir}). In Label Studio: Settings > Model > "
                f"Connect Model, with this backend's URL, such as http://localhost:{settings.port}. A worker then asks "
                "Label Studio whether it is so; one must run (`aftertone worker`)."
            )
        if found["problem"] and not as_json:
            typer.echo(f"PROBLEM: {found['problem']}")
        raise typer.Exit(2 if needs_somebody(found) else 0)


@app.command()
def export(
    project: ProjectArgument,
    out: Annotated[Path, typer.Option(help="Folder to write; must not exist yet.")] = Path("aftertone-model"),
    number: Annotated[int | None, typer.Option("--round", help="Round to export; the newest by default.")] = None,
) -> None:
    """Write a round's model as a folder that transformers.pipeline("audio-classification") loads."""
    from aftertone.export import export_model
    from aftertone.store.project import Store

    with _explained() as settings:
        hide_library_bars()
        record = export_model(Store(settings.model_dir).project(project), settings, out, number)
        typer.echo(f"Round {record.number} ({record.labels} labels) is in {out}. Its README.md says how good it is.")


@app.command()
def adapt(project: ProjectArgument) -> None:
    """Adapt the backbone again, to a pool that has grown since. Needs a running worker; the queue goes on meanwhile."""
    from redis import RedisError

    from aftertone.pipeline.jobs import JobQueue
    from aftertone.store.project import Store

    with _explained() as settings:
        Store(settings.model_dir).project(project).forget_adaptation()
        when = "now"
        try:
            JobQueue.connect(settings.redis_url, settings.model_dir).tell(project)
        except RedisError:  # a hint that every worker can do without
            when = "when it next looks at the project"
        typer.echo(f"The worker adapts the backbone {when}; the next round starts from it.")


@app.command()
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

    with _explained() as settings:
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


@app.command()
def strategies() -> None:
    """List the acquisition functions: what each needs, costs, and where it comes from."""
    from aftertone_model.acquisition import STRATEGIES

    for name, strategy in STRATEGIES.items():
        needs = ", ".join(sorted(need.value for need in strategy.requires)) or "nothing"
        typer.echo(f"{name}\n  {strategy.description}\n  needs {needs}; {strategy.cost}\n  {strategy.source}")
        if strategy.departs:
            typer.echo(f"  departs from it: {strategy.departs}")


@app.command()
def pretrain(
    manifest: Annotated[Path, typer.Argument(help="A manifest.csv with a column path, or a folder of audio.")],
    out: Annotated[Path, typer.Option(help="Folder to write; must not exist yet.")],
    work: Annotated[Path, typer.Option(help="Keeps decoded audio and checkpoints.")] = Path(".pretrain"),
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="To learn from as well: BYOL-S (.pth), Smart Turn (.onnx), prosody. May be repeated."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="config.json of the wav2vec 2.0 to make; aftertone-mini's shape if unset.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="A backbone to go on from, as BACKBONE takes it, instead of random weights.")
    ] = None,
    passes: Annotated[float, typer.Option(help="How often the audio is gone through.")] = 10.0,
    speeds: Annotated[str, typer.Option(help="Each clip at each of these speeds, such as 0.85,1,1.2.")] = "1",
    device: Annotated[str, typer.Option(help="cpu or cuda; a GPU where there is one if unset.")] = "auto",
    seed: int = 0,
) -> None:
    """Make a speech backbone from unlabelled audio, from scratch. Interrupted, it goes on where it was."""
    from aftertone.progress import ProgressBars
    from aftertone_model.config import CONTINUED, FROM_SCRATCH
    from aftertone_model.pretraining.from_scratch import pretrain as run_pretrain

    with _explained():
        hide_library_bars()
        bars = ProgressBars()
        adaptation = run_pretrain(
            manifest,
            out,
            work=work,
            config=config,
            start=start,
            teachers=teacher or (),
            pretraining=replace(FROM_SCRATCH if start is None else CONTINUED, passes=passes),
            speeds=_speeds(speeds),
            seed=seed,
            device=device,
            progress=bars,
        )
        bars.close()
        typer.echo(f"{adaptation.reason} The model is in {out}; set BACKBONE={out.resolve()} to use it.")


def _speeds(text: str) -> list[float]:
    try:
        speeds = [float(part) for part in text.split(",")]
    except ValueError:
        speeds = []
    if not speeds or min(speeds) < 0.5 or max(speeds) > 2.0:
        raise typer.BadParameter("give speeds from 0.5 to 2 with commas between them, such as 0.85,1,1.2")
    return speeds


@app.command()
def simulate(
    manifest: Annotated[Path, typer.Argument(help="A manifest.csv with the columns path, emotion and speaker.")],
    out: Annotated[Path, typer.Option(help="Folder for results; a run that was interrupted goes on there.")] = Path(
        "simulation"
    ),
    strategies: Annotated[str, typer.Option(help="See `aftertone strategies`.")] = "random,margin,typiclust-margin",
    initialisations: Annotated[str, typer.Option(help="How the seed set is drawn.")] = "random,clustered",
    tapt: Annotated[str, typer.Option(help="off, on, or both: off,on.")] = "off,on",
    preset: Annotated[
        list[str] | None,
        typer.Option(help="light, practical or paper, perhaps changed: light:warm_start=true. May be repeated."),
    ] = None,
    shares: Annotated[str, typer.Option(help="Percentages of labels at which models are tested.")] = "5,10,20,40,100",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each cell.")] = 10,
    folds: Annotated[int, typer.Option(min=2, help="Groups of speakers that are left out in turn.")] = 5,
    every_fold: Annotated[bool, typer.Option(help="Each seed on every fold, not on one.")] = False,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Labels between two rounds; as many as to the next share if unset.")
    ] = None,
    leave_out: Annotated[
        str, typer.Option(help="A column of the manifest, such as corpus: each of its values is left out in turn.")
    ] = "",
    prevalence: Annotated[
        str, typer.Option(help="Thin the pool to these percentages: neutral=80,angry=5. The test set stays as it is.")
    ] = "",
    rare: Annotated[
        str, typer.Option(help="Classes that are to be found; those below half of an even share if unset.")
    ] = "",
    annotators: Annotated[
        int, typer.Option(min=0, help="Draw votes from so many; without, the corpus' own labels are revealed.")
    ] = 0,
    confusion: Annotated[
        str, typer.Option(help="How often annotators err: 0.2, one rate each (0.1,0.3,0.5), or a matrix.csv.")
    ] = "0.2",
    votes: Annotated[
        str, typer.Option(help="Votes that each clip gets, or allocated: where the next is worth most. 1,3,allocated")
    ] = "1",
    four: Annotated[bool, typer.Option("--table-4", help="Only the four conditions of the paper's Table 4.")] = False,
    classes: Annotated[str, typer.Option(help="Emotions that may occur; all that do if unset.")] = "",
    backbone: Annotated[str | None, typer.Option(help="The setting BACKBONE if unset.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; one per core if unset.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda, for every process.")] = "cpu",
    plan: Annotated[bool, typer.Option("--plan", help="List cells, time and disk, and run nothing.")] = False,
) -> None:
    """Find out on a labelled corpus what labelling less costs: hide its labels, and reveal them as strategies ask."""
    from aftertone_model.simulate.cost import Simulation, check
    from aftertone_model.simulate.crowd import parse_crowd
    from aftertone_model.simulate.grid import Grid
    from aftertone_model.simulate.prevalence import parse_prevalence

    with _explained() as settings:
        simulation = Simulation(
            manifest=manifest,
            out=out,
            grid=Grid(
                strategies=_listed(strategies),
                initialisations=_listed(initialisations),
                tapt=_switches(tapt),
                presets=tuple(preset or ["light"]),
                shares=_percentages(shares),
                seeds=seeds,
                folds=folds,
                every_fold=every_fold,
                batch=batch,
                four=four,
                prevalence=parse_prevalence(prevalence),
                rare=_listed(rare),
                crowd=parse_crowd(annotators, confusion),
                voting=_listed(votes),
            ),
            leave_out=leave_out,
            backbone=backbone or settings.backbone,
            classes=_listed(classes),
            jobs=jobs or os.cpu_count() or 1,
            device=device,
            command=shlex.join(["aftertone", *sys.argv[1:]]),
        )
        corpus, estimate = check(simulation)
        simulation = simulation.on(corpus)
        if plan:
            typer.echo("\n".join(cell.name for cell in simulation.grid.cells()))
        typer.echo(str(estimate), err=not plan)
        if plan:
            return
        from aftertone.progress import ProgressBars
        from aftertone_model.simulate.simulation import (
            simulate as run_simulation,  # takes seconds, after what a person waits for
        )

        hide_library_bars()
        bars = ProgressBars()
        page = run_simulation(simulation, corpus, lambda line: typer.echo(line, err=True), bars)
        bars.close()
        typer.echo((out / "tables.md").read_text(encoding="utf-8").partition("\n\n")[0])
        typer.echo(f"The report is {page}.")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _switches(text: str) -> tuple[bool, ...]:
    states = {"off": False, "on": True}
    if not _listed(text) or not set(_listed(text)) <= set(states):
        raise typer.BadParameter("--tapt takes off, on, or off,on")
    return tuple(states[state] for state in _listed(text))


def _percentages(text: str) -> tuple[float, ...]:
    try:
        return tuple(sorted({float(part) / 100 for part in _listed(text)}))
    except ValueError:
        raise typer.BadParameter("--shares takes percentages with commas between them, such as 5,10,20,100") from None


@app.command()
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

    with _explained():
        raise typer.Exit(run_demo(audio=audio, limit=limit, oracle=oracle, rounds=rounds, folder=folder))


def main() -> None:
    """Entry point of the `aftertone` command."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Threads that wait for each other sleep instead of spinning: the worker shares its cores with Label Studio.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(app())
