"""What a project asks its annotators: which audio, which single-choice question, which classes."""

from dataclasses import dataclass
from functools import lru_cache

from label_studio_sdk.label_interface.control_tags import ChoicesTag
from label_studio_sdk.label_interface.interface import LabelInterface

from aftertone.errors import LabelConfigError

SMALLEST_CONFIG = """<View>
  <Audio name="audio" value="$audio"/>
  <Choices name="emotion" toName="audio" choice="single">
    <Choice value="neutral"/>
    <Choice value="happy"/>
  </Choices>
</View>"""


@dataclass(frozen=True, kw_only=True)
class Question:
    """The part of a labelling interface that Aftertone learns from."""

    audio: str  # name of the Audio tag
    field: str  # key of the task's data that holds the audio's address
    control: str  # name of the Choices tag
    classes: tuple[str, ...]  # answers as Label Studio stores them (an alias where there is one), at least two


@lru_cache(maxsize=64)
def parse_label_config(label_config: str) -> Question:
    """Find the first single-choice question about a whole audio clip.

    Args:
        label_config: a project's labelling question, XML.

    Raises:
        LabelConfigError: there is none; the message says what was found and gives the smallest config that works.
    """
    try:
        parsed = LabelInterface(label_config)
    except Exception as error:  # the SDK raises many kinds for XML that it can't make sense of
        raise LabelConfigError(_explain(f"it can't be parsed ({error})")) from None
    audios = {tag.name: tag for tag in parsed.objects if tag.tag == "Audio"}
    choices = [tag for tag in parsed.controls if isinstance(tag, ChoicesTag)]
    for tag in choices:
        target = next((name for name in tag.to_name or () if name in audios), None)
        whole_clip = (tag.attr or {}).get("perRegion", "false").lower() != "true"
        classes = tuple(tag.labels or ())
        if target and tag.name and whole_clip and not tag.is_multiple_choice and len(classes) >= 2:
            field = (audios[target].value or "").removeprefix("$")
            return Question(audio=target, field=field, control=tag.name, classes=classes)
    found = ", ".join(f"<{tag.tag} name={tag.name!r}>" for tag in [*parsed.objects, *parsed.controls]) or "no tags"
    raise LabelConfigError(_explain(f"found {found}"))


def _explain(found: str) -> str:
    return (
        "The labelling interface needs an Audio tag and, pointing at it, a Choices tag for the whole clip with "
        f'choice="single" and at least two choices; {found}. The smallest one that works:\n{SMALLEST_CONFIG}'
    )
