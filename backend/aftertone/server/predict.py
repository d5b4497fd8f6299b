"""Answers to /predict: read from the served round's scores, never computed while Label Studio waits.

Label Studio asks for a prediction of any task that somebody opens, and fills in the form with it. So only tasks that
have their labels get one, unless the project's options say otherwise.
"""

from collections.abc import Sequence
from typing import Any

from aftertone.errors import DamagedRecordError, SettingsError
from aftertone.labelstudio.label_config import parse_label_config
from aftertone.labelstudio.untouched import as_prediction
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore
from aftertone.store.records import Connection
from aftertone.store.rounds import Round

UNTRAINED = "untrained"  # version before the first round; Label Studio needs one that isn't empty


def latest_version(store: ProjectStore, settings: Settings) -> str:
    """The version under which `predict` answers now."""
    record = _served(store)
    return UNTRAINED if record is None else _version(record, _shows_all(store, settings))


def predict(
    store: ProjectStore, tasks: Sequence[tuple[int, bool]], label_config: str, settings: Settings
) -> list[dict[str, Any]]:
    """One answer per task, in order: the model's answer, and its probability as the score; ratings have none: 0.

    A task that the served round doesn't know, or whose annotators shall see nothing, gets an empty answer with score 0,
    because Label Studio refuses a reply that leaves one out. An empty answer fills in no form.

    Args:
        tasks: the id of each, and whether Label Studio has all annotations of it that it wants.
        settings: of this process; the project's options win over them.

    Raises:
        LabelConfigError: the label config asks no question that Aftertone can answer.
    """
    record = _served(store)
    if record is None:
        return [_empty(UNTRAINED) for _ in tasks]
    question = parse_label_config(label_config, record.question, record.classes)
    shows_all = _shows_all(store, settings)
    pool = store.pool if question.regions is not None else None
    scores, schema = store.scores(record.number)[1], record.label_schema
    version = _version(record, shows_all)
    answers = []
    for task, labelled in tasks:
        score = scores.get(task)
        if score is None or not score.predictions or not (labelled or shows_all):
            answers.append(_empty(version))
            continue
        seconds = pool.clip(score.clip).seconds if pool is not None and score.clip in pool else None
        result = as_prediction(question.result(schema.answer(score.predictions), seconds))
        answers.append({"result": result, "score": schema.confidence(score.predictions), "model_version": version})
    return answers


def _served(store: ProjectStore) -> Round | None:
    number = store.current
    return store.round(number) if number in store.round_numbers() else None


def _shows_all(store: ProjectStore, settings: Settings) -> bool:
    """Whether tasks without a label get a prediction too. With options that can't be read they get none."""
    try:
        connection = store.read(Connection)
        extra = connection.extra_params if connection is not None else {}
        options = settings.for_project(extra, store.steering.options)
    except (DamagedRecordError, SettingsError):
        return False
    return options.prelabel or options.serve_predictions


def _version(record: Round, shows_all: bool) -> str:
    return record.guess_version if shows_all else record.hidden_version


def _empty(version: str) -> dict[str, Any]:
    return {"result": [], "score": 0.0, "model_version": version}
