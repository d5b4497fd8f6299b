"""The methods of `aftertone simulate --method` beside AFTER: each plays its own paper's tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import typer

from aftertone_model.progress import Progress
from aftertone_model.simulate.study import Study


@dataclass(frozen=True, kw_only=True)
class Method:
    """One entry of `--method`."""

    play: Callable[[Study, Callable[[str], None], Progress], str]
    """Trains what hasn't been, writes tables.md into `out`, and gives its text; it says what it leaves out."""
    plan: Callable[[Study], list[str]] | None = None
    """Lines that `--plan` prints: the trainings, then what they take."""
    extra: frozenset[str] = frozenset()
    """Parameters of `simulate` that it takes beside those of all methods."""


def _play_pairs(study: Study, say: Callable[[str], None], progress: Progress) -> str:
    from aftertone_model.simulate.cross_corpus_study import play_pairs

    return play_pairs(study, say, progress)


def _play_two_stages(study: Study, say: Callable[[str], None], progress: Progress) -> str:
    from aftertone_model.simulate.two_stage_study import play_two_stages

    return play_two_stages(study, say, progress)


def _plan_two_stages(study: Study) -> list[str]:
    from aftertone_model.simulate.cost import clock
    from aftertone_model.simulate.two_stage_study import plan

    planned = plan(study)
    estimate = f"about {clock(planned.seconds(study.jobs))} on a machine like the one measured, with aftertone-mini"
    return [*(cell.name for cell in planned.cells), f"{len(planned.cells)} trainings; {estimate}."]


METHODS: Mapping[str, Method] = {
    "supervised-contrastive": Method(play=_play_pairs, extra=frozenset({"pairs"})),
    "two-stage-adapters": Method(play=_play_two_stages, plan=_plan_two_stages),
}
"""By the name that `--method` takes."""


SHARED = frozenset(
    {*("manifest", "out", "backbone", "preset", "folds", "seeds"), *("classes", "jobs", "device", "plan", "method")}
)
"""Parameters of `simulate` that every method takes."""


def method_named(name: str, context: typer.Context) -> Method:
    """The method.

    Raises:
        BadParameter: there is none of that name, or the command line has options that it doesn't take.
    """
    if name not in METHODS:
        raise typer.BadParameter(f"--method takes after, {', '.join(METHODS)}, not {name}")
    method = METHODS[name]
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "")
        if given is not None and given.name == "COMMANDLINE" and parameter.name not in SHARED | method.extra:
            raise typer.BadParameter(f"--method {name} doesn't take {parameter.opts[0]}; leave it out.")
    return method
