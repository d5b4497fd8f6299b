"""Answers to /predict: read from the served round's scores, never computed while Label Studio waits."""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertone.labelstudio.label_config import parse_label_config
from aftertone.store.project import ProjectStore
from aftertone.store.round_scores import read_scores
from aftertone.store.rounds import Round

UNTRAINED = "untrained"  # version before the first round; Label Studio needs one that isn't empty


def latest_version(store: ProjectStore) -> str:
    """The version under which `predict` answers now."""
    record = _served(store)
    return record.guess_version if record is not None else UNTRAINED


def predict(store: ProjectStore, tasks: Sequence[Mapping[str, Any]], label_config: str) -> list[dict[str, Any]]:
    """One answer per task, in order: the model's choice, and its probability as the score.

    A task that the served round doesn't know gets an empty answer with score 0, because Label Studio refuses a reply
    that leaves one out.

    Raises:
        LabelConfigError: the labelling interface asks no question that Aftertone can answer.
    """
    question = parse_label_config(label_config)
    record = _served(store)
    if record is None:
        return [_empty(UNTRAINED) for _ in tasks]
    classes, scores = read_scores(store.round_folder(record.number) / "scores.csv")
    answers = []
    for task in tasks:
        score = scores.get(task["id"])
        if score is None or not score.probabilities:
            answers.append(_empty(record.guess_version))
            continue
        probability, guess = max(zip(score.probabilities, classes, strict=True))
        value = {"choices": [guess]}
        known = guess in question.classes  # a class may have left the labelling interface since
        result = [{"from_name": question.control, "to_name": question.audio, "type": "choices", "value": value}]
        answers.append({"result": result if known else [], "score": probability, "model_version": record.guess_version})
    return answers


def guesses(store: ProjectStore, number: int) -> dict[int, str]:
    """The model's choice for every task that a round scored; {} for a round without a model."""
    classes, scores = read_scores(store.round_folder(number) / "scores.csv")
    return {
        task: max(zip(score.probabilities, classes, strict=True))[1]
        for task, score in scores.items()
        if score.probabilities
    }


def _served(store: ProjectStore) -> Round | None:
    return store.round(store.current) if store.current is not None else None


def _empty(version: str) -> dict[str, Any]:
    return {"result": [], "score": 0.0, "model_version": version}
