"""Why a project can't be read or doesn't go on."""

from collections.abc import Iterator

from aftertone.doctor.check import Check
from aftertone.doctor.facts import Standing
from aftertone.errors import LabelConfigError, SettingsError
from aftertone.faults import BUG, explain
from aftertone.labelstudio.client import UNKNOWN, RefusedError
from aftertone_model.errors import StrategyError


def _unknown(standing: Standing) -> Iterator[str]:
    if isinstance(standing.failure, RefusedError) and standing.failure.status in UNKNOWN:
        yield str(standing.failure)


def _label_config(standing: Standing) -> Iterator[str]:
    if isinstance(standing.failure, LabelConfigError):
        yield str(standing.failure)


def _options(standing: Standing) -> Iterator[str]:
    if isinstance(standing.failure, SettingsError | StrategyError):
        yield str(standing.failure)


def _unreadable(standing: Standing) -> Iterator[str]:
    error = standing.failure
    known = isinstance(error, LabelConfigError | SettingsError | StrategyError)
    if error is None or known or (isinstance(error, RefusedError) and error.status in UNKNOWN):
        return
    yield explain(error) or f"{type(error).__name__}: {error}. {BUG}"


def _failed(standing: Standing) -> Iterator[str]:
    problem = standing.problem
    if problem is not None and standing.failure is None:
        times = f", {problem.times} times in a row" if problem.times > 1 else ""
        yield f"A worker failed to {problem.step}{times}: {problem.message}"


def _unconnected(standing: Standing) -> Iterator[str]:
    if not standing.connected:
        yield "No model is connected to the project any more."


STANDING_CHECKS: tuple[Check[Standing], ...] = (
    Check(
        key="unknown-project",
        severity="problem",
        title="Label Studio doesn't know the project, or not for this token's user",
        why="Without it nothing can be read or published.",
        cure="Let the user of LABEL_STUDIO_API_KEY join the project's workspace or organization. If the project was "
        "deleted, `aftertone clean --deleted` lists it and what is kept of it.",
        find=_unknown,
    ),
    Check(
        key="unconnected",
        severity="problem",
        title="The model was disconnected from the project",
        why="Label Studio tells of no change any more, and annotators are served the last ranking until it ends.",
        cure="Connect it again (Settings > Model > Connect Model).",
        find=_unconnected,
    ),
    Check(
        key="label-config",
        severity="problem",
        title="The label config asks nothing that Aftertone can learn",
        why="There are no labels to learn from.",
        cure="Change it as the message says (Settings > Labeling Interface).",
        find=_label_config,
        told=True,
    ),
    Check(
        key="options",
        severity="problem",
        title="An option of the connection is unknown or doesn't fit",
        why="Nobody can know what was meant, so that nothing is done for the project.",
        cure="Correct the extra params (Settings > Model > Edit). docs/settings.md marks what may stand there.",
        find=_options,
    ),
    Check(
        key="unreadable",
        severity="problem",
        title="The project can't be read",
        why="Nothing can be done for it meanwhile. A worker tries again by itself.",
        cure="The message says what failed and what to do.",
        find=_unreadable,
        told=True,
    ),
    Check(
        key="failed-step",
        severity="problem",
        title="A step failed",
        why="The project doesn't go on; annotators are served the last ranking meanwhile. The step is tried again, "
        "after a minute at first and after an hour at most.",
        cure="The message says what failed and what to do.",
        find=_failed,
        told=True,
    ),
)
