"""The commands that need no Label Studio: strategies, pretrain, simulate."""

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from aftertone.cli.explained import explained
from aftertone.cli.methods import METHODS, Method, method_named
from aftertone_model.progress import hide_library_bars
from aftertone_model.simulate.study import Study


def strategies() -> None:
    """List the acquisition functions: what each needs, costs, and where it comes from."""
    from aftertone_model.acquisition import STRATEGIES
    from aftertone_model.config import PRESETS

    defaults = {config.strategy: preset for preset, config in reversed(PRESETS.items())}
    typer.echo("N clips to choose from, k to ask for; C classes, D dimensions of an embedding, K dropout samples.\n")
    for name, strategy in STRATEGIES.items():
        needs = ", ".join(sorted(need.value for need in strategy.requires)) or "nothing"
        mark = f" (the default of {defaults[name]})" if name in defaults else ""
        typer.echo(f"{name}{mark}\n  {strategy.description}\n  needs {needs}; {strategy.cost}\n  {strategy.source}")
        if strategy.departs:
            typer.echo(f"  departs from it: {strategy.departs}")


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
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
) -> None:
    """Make a speech backbone from unlabelled audio, from scratch. Interrupted, it goes on where it was."""
    from aftertone.progress import ProgressBars
    from aftertone_model.config import CONTINUED, FROM_SCRATCH
    from aftertone_model.pretraining.from_scratch import pretrain as run_pretrain

    with explained():
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


def simulate(
    context: typer.Context,
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
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Runs of each cell; 10 if unset, 1 of each fold with another method.")
    ] = None,
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
    method: Annotated[
        str,
        typer.Option(help=f"after, or one that plays its own paper's tables: {', '.join(METHODS)}."),
    ] = "after",
    pairs: Annotated[str, typer.Option(help="Of corpora, for supervised-contrastive: A+B,A+C; all if unset.")] = "",
) -> None:
    """Find out on a labelled corpus what labelling less costs: hide its labels, and reveal them as strategies ask."""
    if method != "after":
        if len(preset or [""]) != 1:
            raise typer.BadParameter(f"--method {method} takes one --preset")
        chosen = method_named(method, context)
        with explained() as settings:
            study = Study(
                manifest=manifest,
                out=out,
                backbone=backbone or settings.backbone,
                preset=(preset or ["paper"])[0],
                folds=folds,
                seeds=seeds or 1,
                classes=_listed(classes),
                jobs=jobs or os.cpu_count() or 1,
                device=device,
                pairs=pairs,
                command=shlex.join(["aftertone", *sys.argv[1:]]),
            )
            _play(chosen, study, plan)
        return
    from aftertone_model.simulate.cost import Simulation, check
    from aftertone_model.simulate.crowd import parse_crowd
    from aftertone_model.simulate.grid import Grid
    from aftertone_model.simulate.prevalence import parse_prevalence

    with explained() as settings:
        simulation = Simulation(
            manifest=manifest,
            out=out,
            grid=Grid(
                strategies=_listed(strategies),
                initialisations=_listed(initialisations),
                tapt=_switches(tapt),
                presets=tuple(preset or ["light"]),
                shares=_percentages(shares),
                seeds=seeds or 10,
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
        findings = (out / "tables.md").read_text(encoding="utf-8").partition("\n\n")[0]
        if findings.startswith("- "):  # there are none without a strategy beside random
            typer.echo(findings)
        typer.echo(f"The report is {page}.")


def _play(method: Method, study: Study, plan: bool) -> None:
    """Another method's tables, or what they will take."""
    from aftertone.progress import ProgressBars

    hide_library_bars()
    if plan:
        if method.plan is None:
            raise typer.BadParameter("--plan: this method has no plan")
        typer.echo("\n".join(method.plan(study)))
        return
    bars = ProgressBars()
    text = method.play(study, lambda line: typer.echo(line, err=True), bars)
    bars.close()
    typer.echo(text)


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
