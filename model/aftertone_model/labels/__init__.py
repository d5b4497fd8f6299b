"""Label schemas: what kind of answer a project asks for. A schema knows everything that depends on the kind."""

from collections.abc import Sequence

from aftertone_model.labels.choices import TIE, Choices, MultipleChoice, SingleChoice
from aftertone_model.labels.ratings import Ratings
from aftertone_model.labels.schema import LabelSchema, Predicts, Scale

__all__ = [
    "SCHEMAS",
    "TIE",
    "Choices",
    "LabelSchema",
    "MultipleChoice",
    "Predicts",
    "Ratings",
    "Scale",
    "SingleChoice",
    "schema_of",
]

SCHEMAS: dict[str, type[LabelSchema]] = {kind.kind: kind for kind in (SingleChoice, MultipleChoice, Ratings)}
"""The schemas by the name of their kind."""


def schema_of(kind: str, classes: Sequence[str], scales: Sequence[Scale] = ()) -> LabelSchema:
    """The schema of a kind, with these classes, or these dimensions and their scales. KeyError: no such kind."""
    return SCHEMAS[kind](classes=tuple(classes), scales=tuple(scales))
