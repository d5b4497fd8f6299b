"""What lets Label Studio serve tasks in another order than they were ranked."""

from collections.abc import Iterator

from aftertone.doctor.check import MENDED, Check, Repair
from aftertone.doctor.facts import Look
from aftertone.labelstudio.publish import publish
from aftertone.labelstudio.relabel_tab import TITLE
from aftertone.labelstudio.tasks import UNCERTAINTY, VERSION_PREFIX

RANDOM = "Label Studio then serves random tasks, so that labels teach less than they could."


def _sampling(look: Look) -> Iterator[str]:
    if look.published and look.snapshot.sampling != UNCERTAINTY:
        yield f"The project's task sampling is {look.snapshot.sampling or 'unset'!r} instead of {UNCERTAINTY!r}."


def _version(look: Look) -> Iterator[str]:
    found, queue = look.snapshot.model_version, look.state.queue
    if not look.published or queue is None or found == queue.version:
        return
    if not found:
        yield "The project uses no model's predictions (its model version is empty)."
    elif any(model.title == found for model in look.models or ()):
        yield f"The project's model version is {found!r}, the title of a model, instead of {queue.version!r}."
    elif found.startswith(VERSION_PREFIX):
        yield f"The project serves the earlier ranking {found!r} instead of {queue.version!r}."
    else:
        yield f"The project's model version is another model's, {found!r}, instead of {queue.version!r}."


def _predictions(look: Look) -> Iterator[str]:
    lacking, queue = look.missing_predictions, look.state.queue
    if look.published and lacking and queue is not None:
        what = f"lacks {lacking} of the ranking's predictions" if lacking > 0 else f"holds {-lacking} predictions twice"
        yield f"Label Studio {what} ({queue.version})."


def _ending(look: Look) -> Iterator[str]:
    last = look.state.last
    if look.published and last is not None and look.queue_behind and 2 * look.queue_left <= last.batch:
        yield f"{look.queue_left} ranked clips are left to label, and {look.queue_behind} more wait behind them."


def _overlap(look: Look) -> Iterator[str]:
    if look.snapshot.overlap > 1:
        yield (
            f"The project asks for {look.snapshot.overlap} annotations per task. Label Studio then hands second "
            "annotators random tasks that others have begun."
        )


def _training(look: Look) -> Iterator[str]:
    if look.snapshot.trains_every:
        yield '"Start model training on annotation submission" is switched on.'


def _evaluating(look: Look) -> Iterator[str]:
    if look.snapshot.evaluates:
        yield "evaluate_predictions_automatically is switched on."


def _hidden(look: Look) -> Iterator[str]:
    if look.settings.prelabel and not look.snapshot.shows_predictions:
        yield "PRELABEL is on, but the project hides predictions from annotators."


def _second_model(look: Look) -> Iterator[str]:
    count = 1 + look.others if look.models is None else len({model.url for model in look.models})
    if count > 1:
        yield f"{count} models are connected to the project."


def _doubled_model(look: Look) -> Iterator[str]:
    urls = [model.url for model in look.models or ()]
    if doubled := len(urls) - len(set(urls)):
        yield f"The same model is connected {doubled + 1} times."


def _tabs(look: Look) -> Iterator[str]:
    for tab in look.tabs:
        if (tab.ordered or tab.filtered) and tab.title != TITLE:
            how = " and ".join(["an order of its own"] * tab.ordered + ["filters"] * tab.filtered)
            yield f"The Data Manager's tab {tab.title!r} has {how}."


def _skips(look: Look) -> Iterator[str]:
    if look.snapshot.skip_queue == "IGNORE_SKIPPED":
        yield "The project's skipped tasks count as done (Settings > Annotation > Task Skipping: Ignore Skipped)."


def publish_again(repair: Repair) -> str:
    """Put the newest round's queue back in front of the annotators, as the worker does."""
    queue, last = repair.look.state.queue, repair.look.state.last
    if repair.store is None or queue is None or last is None:
        return ""
    shown = repair.store.answers(last.number) if repair.look.settings.prelabel else {}
    guard = repair.store.guard
    publish(repair.label_studio, repair.look.snapshot, queue.version, queue.published, shown, guard)
    return f"The ranking {queue.version} is what annotators are served again."


QUEUE_CHECKS: tuple[Check[Look], ...] = (
    Check(
        key="sampling",
        severity="warning",
        title="The project's task sampling was changed",
        why=f"Only with Uncertainty sampling does Label Studio follow a ranking. {RANDOM}",
        cure=f"{MENDED} In Label Studio, leave Settings > General > Task Sampling alone.",
        find=_sampling,
        mend=publish_again,
    ),
    Check(
        key="model-version",
        severity="warning",
        title="The project's model version is empty, a model's title, or another's",
        why=f"The queue is ordered by the predictions of exactly that version. {RANDOM}",
        cure=f"{MENDED} In Label Studio, leave Settings > Annotation > Prelabeling alone.",
        find=_version,
        mend=publish_again,
    ),
    Check(
        key="predictions",
        severity="warning",
        title="Predictions of the ranking are gone or doubled",
        why="Tasks without a prediction are served last and in random order.",
        cure=MENDED,
        find=_predictions,
        mend=publish_again,
    ),
    Check(
        key="ranking-ends",
        severity="note",
        title="The published ranking comes to an end before the next round",
        why=f"{RANDOM} A worker publishes what comes next in the ranking before that.",
        cure="Nothing, while a worker runs. If this stays, look at what `aftertone status` says beside it.",
        find=_ending,
    ),
    Check(
        key="overlap",
        severity="warning",
        title="Tasks ask for more than one annotation",
        why="Only the first annotator of a task follows the ranking.",
        cure="If one answer per clip is enough, set Settings > Quality > Annotations per task to 1.",
        find=_overlap,
    ),
    Check(
        key="training-on-submission",
        severity="warning",
        title='"Start model training on annotation submission" is switched on',
        why="Label Studio then asks for a training inside every submit, so that each annotator waits for it; Aftertone "
        "trains by itself when enough labels are there.",
        cure="Switch it off in Settings > Model.",
        find=_training,
    ),
    Check(
        key="predicting-on-listing",
        severity="warning",
        title="evaluate_predictions_automatically is switched on",
        why="Each page of the Data Manager then asks for predictions of all tasks that it lists, which annotators see.",
        cure='Switch it off: PATCH /api/projects/PROJECT/ {"evaluate_predictions_automatically": false}.',
        find=_evaluating,
    ),
    Check(
        key="hidden-prelabels",
        severity="warning",
        title="PRELABEL is on and the project hides predictions",
        why="Annotators see no label of the model.",
        cure="Switch on Settings > Annotation > Prelabeling, or set PRELABEL to false.",
        find=_hidden,
    ),
    Check(
        key="second-model",
        severity="warning",
        title="Two models are connected to the project",
        why="Label Studio uses the first one alone, and two that publish rankings undo each other's.",
        cure="Delete all but one in Settings > Model.",
        find=_second_model,
    ),
    Check(
        key="doubled-model",
        severity="warning",
        title="The same model is connected several times",
        why="That is what attempts leave behind which Label Studio refused halfway: it stored the model but no "
        "webhook. Every page of the project then asks each of them.",
        cure="Delete all but the first in Settings > Model.",
        find=_doubled_model,
    ),
    Check(
        key="tab-order",
        severity="note",
        title="A tab of the Data Manager has filters or an order of its own",
        why='"Label Tasks As Displayed" follows the tab, ignores the ranking, and gives every annotator the same task.',
        cure='Label with "Label All Tasks".',
        find=_tabs,
    ),
    Check(
        key="ignored-skips",
        severity="note",
        title="Skipped tasks count as done",
        why="Label Studio never serves a skipped task again, although nobody answered it.",
        cure="Choose another kind of Task Skipping in Settings > Annotation if others should try.",
        find=_skips,
    ),
)
