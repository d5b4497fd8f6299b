"""Attributes of a clip by name, and how the setting ATTRIBUTES says which field of a task tells each."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from aftertone.errors import SettingsError

NAMES: dict[str, tuple[str, ...]] = {
    "gender": ("gender", "sex", "speaker_gender", "speaker_sex"),
    "style": ("style", "speaking_style", "speech_style"),
    "corpus": ("corpus", "dataset"),
    "language": ("language", "lang"),
    "transcript": ("transcript", "transcription", "sentence"),
    "quality": ("quality", "audio_quality"),
}
"""Each attribute, and the names that fields and controls which tell it go by."""

SPOKEN = "transcript"  # the attribute that a TextArea asks for; Choices ask for the others
LONGEST_VALUE, LONGEST_SPOKEN = 200, 10_000  # characters of an attribute, and of what is spoken
CUT = "…"  # ends what was longer
MOST_VALUES = 12  # of an attribute that are counted one by one


def bounded(name: str, value: str) -> str:
    """The value of an attribute, cut where it is longer than such values are.

    Label Studio bounds neither a task's fields nor what people type, and every value is kept for each clip.
    """
    longest = longest_value(name)
    return value if len(value) <= longest else value[: longest - len(CUT)] + CUT


def was_cut(name: str, value: str) -> bool:
    """Whether `bounded` cut a value."""
    return len(value) == longest_value(name) and value.endswith(CUT)


def longest_value(name: str) -> int:
    """Characters that a value of an attribute may have."""
    return LONGEST_SPOKEN if name == SPOKEN else LONGEST_VALUE


def count_values(clips: Iterable[Mapping[str, str]]) -> dict[str, dict[str, Any]]:
    """How many clips have each attribute, and each value of it where it has few; attributes that none has are left out.

    Args:
        clips: the attributes of each.
    """
    counts: dict[str, Counter[str]] = {name: Counter() for name in NAMES}
    for attributes in clips:
        for name, value in attributes.items():
            counts.setdefault(name, Counter())[value] += 1
    return {
        name: {"clips": values.total(), "values": dict(values.most_common()) if len(values) <= MOST_VALUES else {}}
        for name, values in counts.items()
        if values
    }


def describe_counts(counts: Mapping[str, Mapping[str, Any]]) -> str:
    """The same for people; '' where no clip has an attribute."""
    told: list[str] = []
    for name, row in counts.items():
        values = "" if name == SPOKEN else ", ".join(f"{value} {count}" for value, count in row["values"].items())
        told.append(f"{name} of {row['clips']}" + (f" ({values})" if values else ""))
    return ", ".join(told)


def parse_attribute_fields(text: str) -> dict[str, str]:
    """Fields of tasks by the attribute that they tell, as the setting ATTRIBUTES has them.

    Args:
        text: `gender=sex, transcript=words`, or a JSON object that says the same.

    Raises:
        SettingsError: it has another form, or names an attribute that nothing knows.
    """
    try:
        fields = json.loads(text) if text.lstrip().startswith("{") else _pairs(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or not all(isinstance(field, str) and field.strip() for field in fields.values()):
        raise SettingsError('must look like gender=sex, transcript=words, or {"gender": "sex"}')
    if unknown := sorted(fields.keys() - NAMES.keys()):
        raise SettingsError(f"there is no attribute {unknown[0]!r}; there are: {', '.join(NAMES)}")
    return {name: field.strip() for name, field in fields.items()}


def _pairs(text: str) -> dict[str, str]:
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    return {name.strip(): field.strip() for name, _, field in parts}
