"""Answers to /predict: read from the served round's scores, never computed while Label Studio waits."""

from collections.abc import Sequence
from typing import Any

from aftertone.labelstudio.label_config import parse_label_config
from aftertone.store.project import ProjectStore
from aftertone.store.rounds import Round

UNTRAINED = "untrained"  # version before the first round; Label Studio needs one that isn't empty


def latest_version(store: ProjectStore) -> str:
    """The version under which `predict` answers now."""
    record = _served(store)
    return record.guess_version if record is not None else UNTRAINED


def predict(store: ProjectStore, tasks: Sequence[int], label_config: str) -> list[dict[str, Any]]:
    """One answer per task, in order: the model's choice, and its probability as the score.

    A task that the served round doesn't know gets an empty answer with score 0, because Label Studio refuses a reply
    that leaves one out.

    Args:
        tasks: ids.

    Raises:
        LabelConfigError: the label config asks no question that Aftertone can answer.
    """
    record = _served(store)
    if record is None:
        return [_empty(UNTRAINED) for _ in tasks]
    question = parse_label_config(label_config, record.question)
    scores, version = store.scores(record.number)[1], record.guess_version
    answers = []
    for task in tasks:
        score = scores.get(task)
        if score is None or not score.probabilities:
            answers.append(_empty(version))
            continue
        result = question.result(record.label_schema.answer(score.probabilities))
        answers.append({"result": result, "score": max(score.probabilities), "model_version": version})
    return answers


def _served(store: ProjectStore) -> Round | None:
    number = store.current
    return store.round(number) if number in store.round_numbers() else None


def _empty(version: str) -> dict[str, Any]:
    return {"result": [], "score": 0.0, "model_version": version}
