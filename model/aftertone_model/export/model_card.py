"""The model card: how an exported model is used, what it was made of, and which figures belong to which use."""

from collections.abc import Mapping
from dataclasses import dataclass

from aftertone_model.backbones.families import SpeechClassifier
from aftertone_model.classification.classifier import class_names
from aftertone_model.classification.clip_head import FEWEST, ClipHead
from aftertone_model.classification.model import EmotionModel
from aftertone_model.evaluation.metrics import Estimate, Metrics
from aftertone_model.labels import MultipleChoice

NOT_TESTED = "Unknown: no clip was held out to test it on."
NOT_KEPT = "Unknown: this round kept no figures for it. Later rounds do."


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a model comes from, for its card."""

    name: str  # of the model, as a title
    backbone: str  # name or folder of the speech model it started from
    adapted: bool  # whether that was adapted to the pool before (TAPT)
    clips: int  # in the pool
    hours: float  # of audio in the pool
    labels: Mapping[str, float]  # class -> training labels; soft votes count in parts
    strategy: str  # acquisition strategy that chose what to label
    question: str = ""  # name of the question in the label config that was learned; '' where it isn't known
    metrics: Metrics | None  # of the whole model on the held-out test set; None where there was none
    plain_metrics: Metrics | None = None  # of the transformers classifier alone, where a clip head judges beside it
    clips_per_voice: int | None = None  # median, in the pool, of the test set's known speakers; None where it has none
    speaker_disjoint: bool  # no speaker is both trained on and tested on, and all are known


def model_card(model: EmotionModel, provenance: Provenance) -> str:
    """The model card as Markdown, with the metadata that the Hugging Face hub reads."""
    classifier = model.classifier
    classes = class_names(classifier)
    several = _several(classifier)
    labels = "\n".join(f"| {name} | {provenance.labels.get(name, 0):g} |" for name in classes)
    kind = "any number of" if several else "one of"
    question = f' It answers the question "{provenance.question}" of the label config.' if provenance.question else ""
    adapted = "adapted to the pool without labels (TAPT)" if provenance.adapted else "unadapted"
    return f"""---
library_name: transformers
pipeline_tag: audio-classification
tags: [speech-emotion-recognition, {classifier.config.model_type}, active-learning, aftertone]
---

# {provenance.name}

Classifies the emotion of a clip: {kind} {", ".join(classes)}.{question} Made with Aftertone, which follows AFTER
(arXiv 2310.00283).

{_use(model)}

## Data

The pool held {provenance.clips:,} clips, {provenance.hours:.1f} hours. Clips to label were chosen by the strategy
"{provenance.strategy}", so the labels below are not a random sample of the pool.

| class | training labels |
| --- | --- |
{labels}

## How good it is

{_quality(model, provenance)}

## Backbone and licence

Backbone: {provenance.backbone}, {adapted}. The licence of the backbone and that of the audio are not known to
Aftertone. Look them up before you pass this model on: it may be bound by both.

## Limits

It knows only the classes above, also for silence, noise or music. It learned from clips like those of the pool; other
languages, microphones or speaking styles may lower its accuracy a lot. It predicts how a voice sounds to others, not
what the person feels. Don't use it to judge people.
"""


def _several(classifier: SpeechClassifier) -> bool:
    return classifier.config.problem_type == MultipleChoice.problem_type


def _takes_voices_out(head: ClipHead) -> bool:
    """Whether it learned to judge the clips of a voice together."""
    return bool(head.standardisation.speakers)


def _use(model: EmotionModel) -> str:
    options = ", top_k=None" if _several(model.classifier) else ""
    pipeline = f"""```python
import soundfile
from transformers import pipeline

samples, rate = soundfile.read("clip.wav", dtype="float32", always_2d=True)
classify = pipeline("audio-classification", model="path/to/this/folder")
classify({{"raw": samples.mean(axis=1), "sampling_rate": rate}}{options})
```"""
    if model.head is None:
        return pipeline
    if not _takes_voices_out(model.head):
        return f"""`emotions.py` judges a folder of clips as Aftertone does, and prints CSV. In the pool there was no
voice known by enough clips, so each clip is judged by itself.

```sh
python emotions.py path/to/clips
```

`transformers` alone gives single clips to a simpler classifier, trained on the same labels:

{pipeline}"""
    return f"""There are two ways, which differ in how good they are (below).

**Clips of one voice, judged together.** Put {FEWEST} clips or more of the same person into a folder, the more the
better; `emotions.py` takes out what is particular to the voice and prints CSV. It needs torch, transformers, numpy,
safetensors and soundfile.

```sh
python emotions.py path/to/clips
python emotions.py path/to/clips --strangers    # of various voices: each clip is judged by itself
```

**Single clips through `transformers` alone.** A simpler classifier, trained on the same labels:

{pipeline}"""


def _quality(model: EmotionModel, provenance: Provenance) -> str:
    metrics, several = provenance.metrics, _several(model.classifier)
    if metrics is None:
        return NOT_TESTED
    spoken = "who don't occur in training" if provenance.speaker_disjoint else "who may occur in training"
    test_set = f"""Measured on a held-out test set of {metrics.clips} clips, chosen at random and never trained on, by
speakers {spoken}. {_scope(metrics)}"""
    if provenance.adapted:
        test_set += " The backbone was adapted to the audio of these clips too, without their labels."
    if model.head is None:
        return f"{test_set}\n\n{_figures(metrics, several)}"
    voices_out = _takes_voices_out(model.head)
    plain = NOT_KEPT if provenance.plain_metrics is None else _figures(provenance.plain_metrics, several)
    return f"""{test_set}

### {"Clips of one voice judged together" if voices_out else "Single clips"} (`emotions.py`)

{_caveat(provenance) if voices_out else ""}{_figures(metrics, several)}

### Single clips through `pipeline`

{plain}"""


def _caveat(provenance: Provenance) -> str:
    """What the figures of known voices rest on."""
    many = "" if provenance.clips_per_voice is None else f" ({provenance.clips_per_voice} of each, in the median)"
    return f"""These figures are transductive: what is particular to a test speaker's voice was measured on that
speaker's own clips in the pool{many}, test clips among them, without their labels. With fewer clips
of a voice, or clips of one emotion only, expect less. Test clips whose speaker was unknown, or had fewer than {FEWEST}
clips, were judged by themselves. How good `--strangers` is was not measured apart.

"""


def _figures(metrics: Metrics, several: bool) -> str:
    ua, wa = "mean recall of the classes", "share of clips that are right"
    if several:
        ua, wa = (
            "mean recall of having and of not having a class",
            "share of clips that are right, mean over the classes",
        )
    recalls = "\n".join(
        f"| {name} | {'no clip' if recall is None else f'{recall:.1%}'} |"
        for name, recall in zip(metrics.classes, metrics.recall, strict=True)
    )
    return f"""| figure | value | interval |
| --- | --- | --- |
| UA ({ua}) | {_row(metrics.ua)} |
| WA ({wa}) | {_row(metrics.wa)} |
| macro-F1 | {_row(metrics.macro_f1)} |

Expected calibration error: {metrics.ece:.3f}.

| class | recall |
| --- | --- |
{recalls}"""


def _scope(metrics: Metrics) -> str:
    """What the intervals are, and for whom they hold."""
    if metrics.basis == "speakers":
        return f"Intervals are 95 % bootstrap intervals over its {metrics.speakers} speakers, and hold for new ones."
    if metrics.speakers is None:
        return (
            "Who speaks is not known of every clip, so there is no interval for new speakers: the 95 % intervals hold "
            "for more clips of the voices tested."
        )
    voices = "1 voice is" if metrics.speakers == 1 else f"{metrics.speakers} voices are"
    return (
        f"Only {voices} among them, too few for an interval for new speakers: the 95 % intervals hold for more clips "
        "of the voices tested."
    )


def _row(figure: Estimate) -> str:
    return f"{figure.value:.1%} | {figure.low:.1%} to {figure.high:.1%}"
