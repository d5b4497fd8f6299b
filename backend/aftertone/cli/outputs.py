"""The commands that carry something away: export, predictions, predict."""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aftertone.cli.explained import explained
from aftertone_model.progress import hide_library_bars

if TYPE_CHECKING:
    from aftertone.settings import Settings
    from aftertone.store.project import ProjectStore

ProjectArgument = Annotated[int, typer.Argument(help="The project's number in Label Studio.")]


def _known(settings: "Settings", project: int) -> "ProjectStore":
    from aftertone.store.project import Store

    return Store(settings.model_dir).kept(project)


class Format(StrEnum):
    """What `aftertone export` writes."""

    TRANSFORMERS = "transformers"
    ONNX = "onnx"
    DATASET = "dataset"


def export(
    project: ProjectArgument,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write; must not exist yet. Default: aftertone-model, -onnx or -dataset."),
    ] = None,
    number: Annotated[int | None, typer.Option("--round", help="Round to export; the newest by default.")] = None,
    format: Annotated[
        Format, typer.Option(help="The model for transformers.pipeline or as ONNX, or clips and labels for `datasets`.")
    ] = Format.TRANSFORMERS,
) -> None:
    """Write a round's model, or the project's clips and labels, as a folder for others."""
    if format is Format.DATASET and number is not None:
        raise typer.BadParameter("a data set is of no round; leave --round out")
    with explained() as settings:
        hide_library_bars()
        folder = out or Path("aftertone-model" if format is Format.TRANSFORMERS else f"aftertone-{format}")
        store = _known(settings, project)
        if format is Format.DATASET:
            counts = _export_dataset(store, folder, project)
            told = ", ".join(f"{count} {split}" for split, count in counts.items())
            typer.echo(f"{sum(counts.values())} clips ({told}) are in {folder}. Its README.md says what is in it.")
            return
        from aftertone.export import export_model  # brings torch, which none of the above needs

        kind = "onnx" if format is Format.ONNX else "transformers"
        record = export_model(store, settings, folder, number, kind)
        typer.echo(f"Round {record.number} ({record.labels} labels) is in {folder}. Its README.md says how good it is.")


def _export_dataset(store: "ProjectStore", folder: Path, project: int) -> Mapping[str, int]:
    from aftertone.outputs.dataset_folder import write_dataset
    from aftertone.outputs.predictions import labels_of
    from aftertone.progress import ProgressBars

    bars = ProgressBars()
    try:
        schema, rows = labels_of(store)
        name = f"Speech emotion, Label Studio project {project}"
        return write_dataset(folder, name, rows, schema, store.pool, bars)
    finally:
        bars.close()


def predictions(
    project: ProjectArgument,
    out: Annotated[
        Path, typer.Option(help="File to write, .csv, .jsonl or .parquet; one that is there is replaced.")
    ] = Path("emotions.csv"),
) -> None:
    """Write an emotion for every clip of a project: people's label, the served round's prediction, and how sure."""
    from aftertone.outputs.predictions import predictions_of
    from aftertone.outputs.table import rows_of, write_table, writer_of
    from aftertone.progress import ProgressBars

    with explained() as settings:
        hide_library_bars()
        writer_of(out)
        store, bars = _known(settings, project), ProgressBars()
        try:
            found = predictions_of(store, settings, bars)
        finally:
            bars.close()
        write_table(rows_of(found), out)
        typer.echo(f"{len(found.rows)} clips, as round {found.record.number} sees them, are in {out}.")
        if found.scored:
            typer.echo(f"{found.scored} of them came after the round; its model was asked about them just now.")
        if found.unknown:
            typer.echo(
                f"{found.unknown} came after the round and have no prediction, since its weights have gone. The next "
                "round scores them."
            )


def predict(
    folder: Annotated[Path, typer.Argument(metavar="EXPORT", help="Folder that `aftertone export` wrote.")],
    files: Annotated[
        list[Path],
        typer.Argument(help="Audio files, folders of them, or a manifest.csv with columns path and speaker."),
    ],
    out: Annotated[Path | None, typer.Option(help="File to write, .csv, .jsonl or .parquet; printed if unset.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of CSV.")] = False,
    one_voice: Annotated[bool, typer.Option("--one-voice", help="All files are of the same person.")] = False,
) -> None:
    """Judge new audio with an exported model. Clips of one speaker, where a manifest names them, are judged together.

    Exits with 3 where some file can't be used, otherwise with 0.
    """
    import sys

    from aftertone.outputs.new_audio import find_files, judge_files
    from aftertone.outputs.table import print_csv, write_table, writer_of
    from aftertone.progress import ProgressBars

    with explained() as settings:
        hide_library_bars()
        if out is not None:
            writer_of(out)
        wanted, bars = find_files(files, one_voice=one_voice), ProgressBars()
        try:
            judged = judge_files(
                folder, wanted, max_seconds=settings.max_clip_seconds, channel=settings.channel, progress=bars
            )
        finally:
            bars.close()
        if out is not None:
            write_table(list(judged.rows), out)
            typer.echo(f"{len(judged.rows)} clips are in {out}.")
        elif as_json:
            typer.echo(json.dumps(judged.rows, ensure_ascii=False, indent=1))
        else:
            print_csv(judged.rows, sys.stdout)
        for line in judged.left_out:
            typer.echo(f"Left out: {line}", err=True)
        if judged.alone:
            typer.echo(
                "Too few clips to be judged together, so each was judged by itself: speaker "
                + ", ".join(name or "(the one voice)" for name in judged.alone),
                err=True,
            )
        raise typer.Exit(3 if judged.left_out else 0)
