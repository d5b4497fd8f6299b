"""What a project asks its annotators: which audio, which question, what kind of answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from label_studio_sdk.label_interface.control_tags import ChoicesTag
from label_studio_sdk.label_interface.interface import LabelInterface

from aftertone.errors import LabelConfigError
from aftertone_model.labels import LabelSchema, MultipleChoice, SingleChoice

SMALLEST_CONFIG = """<View>
  <Audio name="audio" value="$audio"/>
  <Choices name="emotion" toName="audio" choice="single">
    <Choice value="neutral"/>
    <Choice value="happy"/>
  </Choices>
</View>"""


@dataclass(frozen=True, kw_only=True)
class Question:
    """The part of a label config that Aftertone learns from: an Audio tag and a Choices tag for the whole of it."""

    audio: str  # name of the Audio tag
    field: str  # key of the task's data that holds the audio's address
    control: str  # name of the Choices tag
    schema: (
        LabelSchema  # kind of answer; its classes are named as Label Studio stores them (an alias where there is one)
    )

    @property
    def classes(self) -> tuple[str, ...]:
        """What annotators can choose, at least two."""
        return self.schema.classes

    def chosen(self, annotation: Mapping[str, Any]) -> tuple[str, ...]:
        """The answer of an annotation as Label Studio exports it; () where the question was left open."""
        found: list[str] = []
        for item in annotation.get("result") or ():
            if item.get("from_name") == self.control and item.get("type") == "choices":
                found += [label for label in item.get("value", {}).get("choices", ()) if isinstance(label, str)]
        return tuple(dict.fromkeys(found))

    def result(self, answer: Sequence[str]) -> list[dict[str, Any]]:
        """A prediction's `result` that shows an answer; empty where the label config has lost part of it."""
        if not answer or not set(answer) <= set(self.classes):
            return []
        value = {"choices": list(answer)}
        return [{"from_name": self.control, "to_name": self.audio, "type": "choices", "value": value}]


@lru_cache(maxsize=64)
def parse_label_config(label_config: str) -> Question:
    """Find the question to learn: the first single choice about a whole audio clip, else the first multiple choice.

    Args:
        label_config: of a project, XML.

    Raises:
        LabelConfigError: there is none; the message says what was found and gives the smallest config that works.
    """
    try:
        parsed = LabelInterface(label_config)
    except Exception as error:  # the SDK raises many kinds for XML that it can't make sense of
        raise LabelConfigError(_explain(f"it can't be parsed ({error})")) from None
    audios = {tag.name: tag for tag in parsed.objects if tag.tag == "Audio"}
    questions: list[Question] = []
    for tag in parsed.controls:
        if not isinstance(tag, ChoicesTag):
            continue
        target = next((name for name in tag.to_name or () if name in audios), None)
        whole_clip = (tag.attr or {}).get("perRegion", "false").lower() != "true"
        classes = tuple(tag.labels or ())
        if target and tag.name and whole_clip and len(classes) >= 2:
            schema = (MultipleChoice if tag.is_multiple_choice else SingleChoice)(classes=classes)
            field = (audios[target].value or "").removeprefix("$")
            questions.append(Question(audio=target, field=field, control=tag.name, schema=schema))
    if questions:
        return min(questions, key=lambda question: not question.schema.exclusive)
    found = ", ".join(f"<{tag.tag} name={tag.name!r}>" for tag in [*parsed.objects, *parsed.controls]) or "no tags"
    raise LabelConfigError(_explain(f"found {found}"))


def _explain(found: str) -> str:
    return (
        "The label config needs an Audio tag and, pointing at it, a Choices tag for the whole clip with at least two "
        f"choices; {found}. The smallest one that works:\n{SMALLEST_CONFIG}"
    )
