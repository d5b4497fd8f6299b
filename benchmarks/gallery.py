"""What Aftertone says to label configs, with every audio template of Label Studio's gallery: docs/label-configs.md.

    python -m benchmarks.gallery [TEMPLATES] > docs/label-configs.md

TEMPLATES is the folder `annotation_templates` of an installed Label Studio; by default that of LABEL_STUDIO_BIN, or of
the Label Studio that `make demo` installed.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from label_studio_sdk.label_interface.interface import LabelInterface

from aftertone.demo.environment import label_studio_command
from aftertone.errors import LabelConfigError
from aftertone.labelstudio.label_config import parse_label_config

INSTALLED = Path(__file__).parents[1] / ".demo" / "label-studio-env"
SOUND = {"Audio", "AudioPlus", "Video"}

PAGE = """# Label configs

Which question of a label config is learned, and what becomes of others. `aftertone status` says which one it is, and an
exported model's card does. Printed by `python -m benchmarks.gallery > docs/label-configs.md`.

## Which question

1. The tag that `{{"question": "its name"}}` names in the model's extra params (Label Studio: Settings > Model), or the
   setting QUESTION.
2. Else the only one that can be learned.
3. Else choices go before ratings, unless only what is rated looks like emotion.
4. Else what is asked of the whole clip goes before what is asked of regions, unless only the latter looks like emotion.
5. Else, of several, the only one that looks like emotion: its name contains a word such as emotion, affect, mood,
   feeling or sentiment, or at least two of its choices are emotions, in one of about 25 languages
   (`emotion_words.py` lists the words).

Where that leaves several, or none, the project is refused when its model is connected. Label Studio shows the status
alone, so `aftertone status` lists the project with the reason, until it fits: `Project 4 can't be used: ...`. The same
goes for extra params that aren't JSON, an option that doesn't exist, and a query strategy that doesn't exist or can't
rank the kind of label.

## What can be learned

The tag points by toName at an Audio or AudioPlus tag, or at a Video tag where there is no audio, whose sound is taken.

| tag | kind | classes |
| --- | --- | --- |
| Choices | single choice; with `choice="multiple"` multiple choice | its choices, by alias where they have one |
| Choices with `allowNested="true"` | the same | the choices that hold no others |
| Taxonomy | multiple choice; with `maxUsages="1"` single choice | the choices that hold no others |
| Rating | ratings, from 1 to `maxRating` (5) | one dimension, named as the tag |
| Number with `min` and `max` | ratings | one dimension, named as the tag |
| Labels over Audio | single choice of each region; with `choice="multiple"` multiple choice | its labels |
| any of the first five with `perRegion="true"` | the same, of each region | the same |

- Of choices that hold others, two may have the same name; then all are named by their whole path, such as `low / sad`.
- Answers to Choices with `allowNested="true"` are learned, but the model's are never shown: Label Studio refuses
  predictions of that form. It takes those of a Taxonomy.
- A question that is hidden until something else is chosen (`visibleWhen` or `whenChoiceValue`, on the tag or a View
  around it) is learned only if it is named.
- A branch of a Taxonomy that is chosen by itself is no class. `leafsOnly="true"` lets annotators choose none.
- A multiple choice that is left blank counts as skipped, and its clip is asked for last. No label config makes it mean
  "none of these": with `required="true"` Label Studio's form can't be submitted blank, and without it what is stored,
  `"result": []`, is the same as of a form that was submitted in haste or made by *Create annotations from
  predictions*. Offer a choice such as "none of these", which is learned as a class.
- Choices and Labels that each task brings along (`value="$options"`) are learned where the project's options name the
  classes, in extra params `{{"classes": ["happy", "sad"]}}`. An answer that is none of them counts for nothing, and
  `aftertone status` says so. Every class may be shown as the model's answer, also in a task that doesn't offer it.
  Beside Choice or Label tags of its own Label Studio takes no predictions of what tasks bring along: such a question is
  learned, and annotators aren't shown the model's answers.
- Refused, with a sentence that says what to change: choices that each task brings along and no option names, or that
  an `apiUrl` gives, fewer than two choices, the same or an empty value twice, line breaks in a value, `perItem`,
  `perRegion` without a Labels tag that marks regions, regions of a video, and Number without a range.
- Rating and Number tags about the same audio that are named after dimensions of emotion (valence, arousal, dominance,
  activation, pleasure, intensity and the like) are one question; any of their names stands for it. A dimension left
  blank counts for nothing.

## Questions about regions

A Labels tag over Audio marks parts of a recording, and its labels are the answers; or another tag asks about each part
that a Labels tag marks (`perRegion="true"`).

- **A Labels tag that looks like no emotion is learned only if it is named**, by `question`: annotators mark regions by
  a Labels tag whatever is asked about them, so that most such tags name speakers or events.
- **What is learned is segments.** Each region is a clip of its own; the frames that the model's CNN computed for the
  recording are used again. It needs 0.1 s within the recording: what lies beyond the end is cut off, shorter regions
  are left out, and `aftertone status` counts them.
- **Several annotators' regions are one segment where they share half of the time that they cover together** (Jaccard's
  index of 0.5 or more). Each adds a vote; start and end stay those of who marked it first. Other regions are segments
  of their own. What somebody didn't mark is no vote, and two answers to the very same region share one.
- **A task without a region is an answer without a label** ("no emotion marked"): like a skipped one it teaches nothing
  and is asked for last.
- **Recordings are asked for, and tested on, as a whole.** The model judges whole recordings to rank them; a batch
  counts recordings, and `status` counts segments as labels. All segments of a test recording are test segments.
- **The model's answer to a recording is shown as one region from its beginning to its end**, where PRELABEL is set or
  in tasks that have their labels. It isn't cut into parts: the model knows emotions, not where they begin. With
  `perRegion`, that region needs a label of the Labels tag; where there are several to choose from, nothing is shown.
## Attributes of a clip

What else is known of a clip, beside its label and its speaker: `gender`, `style`, `corpus`, `language`, `transcript`
and `quality`. `aftertone status` says of how many clips each is known.

- A field of the task tells it by its name (`gender` or `sex`, `transcript`, `transcription` or `sentence`, `language`
  or `lang`, `corpus` or `dataset`, and so on); the setting ATTRIBUTES names other fields.
- So does a further control of the label config: Choices with one answer named after the attribute, or that offer male
  and female; and a TextArea named `transcript` or `transcription`. What annotators answer goes before the field. Of
  several answers the most frequent counts.
- Such a control is not the question that is learned, unless it is named or there is no other.

## The gallery of Label Studio {version}

Its templates with an Audio, AudioPlus or Video tag; the answer to a refused one is the first line of what is said.

| template | tags | answer |
| --- | --- | --- |
{rows}
"""


@dataclass(frozen=True, kw_only=True)
class Template:
    """One template of the gallery."""

    name: str  # its group's folder and its own
    label_config: str

    @property
    def tags(self) -> list[str]:
        """What it shows and asks."""
        interface = LabelInterface(self.label_config)
        return [str(tag.tag) for tag in [*interface.objects, *interface.controls]]

    @property
    def answer(self) -> str:
        """What Aftertone makes of it."""
        try:
            question = parse_label_config(self.label_config)
        except LabelConfigError as error:
            return f"refused: {str(error).splitlines()[0]}"
        parts = " of regions" if question.regions is not None else ""
        return f'accepted: {question.tag} "{question.control}", {question.schema.kind}{parts}'


def page(folder: Path) -> str:
    """The page as Markdown.

    Args:
        folder: `annotation_templates` of a Label Studio.
    """
    found = [template for template in templates(folder) if SOUND & set(template.tags)]
    rows = [f"| {row.name} | {', '.join(row.tags)} | {_cell(row.answer)} |" for row in found]
    return PAGE.format(version=_version(folder), rows="\n".join(rows))


def templates(folder: Path) -> Iterator[Template]:
    """All templates of a gallery, by name."""
    for file in sorted(folder.glob("*/*/config.yml")):
        config = yaml.safe_load(file.read_text(encoding="utf-8")).get("config")
        if config:
            yield Template(name="/".join(file.parts[-3:-1]), label_config=config)


def gallery(command: Path) -> Path:
    """The folder of templates that belongs to a `label-studio` command.

    Raises:
        FileNotFoundError: there is none beside it.
    """
    for folder in command.resolve().parents[1].glob("lib/python*/site-packages/label_studio/annotation_templates"):
        return folder
    raise FileNotFoundError(f"No templates belong to {command}. Give their folder as an argument.")


def _version(folder: Path) -> str:
    found = next(folder.parents[1].glob("label_studio-*.dist-info"), None)
    return found.name.removeprefix("label_studio-").removesuffix(".dist-info") if found else "of an unknown version"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("templates", type=Path, nargs="?")
    given: Path | None = parser.parse_args().templates
    print(page(given or gallery(label_studio_command(INSTALLED))), end="")
