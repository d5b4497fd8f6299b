"""The model card: how an exported model is used, what it was made of, and which figures belong to which use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aftertone_model.backbones.families import SpeechClassifier
from aftertone_model.classification.classifier import class_names
from aftertone_model.classification.clip_head import FEWEST
from aftertone_model.classification.model import EmotionModel
from aftertone_model.data.channels import Channel
from aftertone_model.evaluation.metrics import Metrics
from aftertone_model.evaluation.rating_metrics import RatingMetrics
from aftertone_model.export.exported import Exported
from aftertone_model.export.figures import of_one_class, of_ratings, of_several_classes, too_few
from aftertone_model.export.metadata import base_model, metadata
from aftertone_model.labels import MultipleChoice, Ratings, SingleChoice

EU = """Not at work and not in education: in the European Union, Regulation (EU) 2024/1689 (the AI Act) prohibits, in
Article 5(1)(f), systems that infer people's emotions there, other than for medical or safety reasons. Elsewhere such
systems count as high-risk (Annex III), and people who are exposed to one must be told so (Article 50(3))."""
INSTALL = "pip install torch torchaudio transformers soundfile    # no ffmpeg"
NOT_TESTED = "Unknown: no clip was held out to test it on."
NOT_KEPT = "Unknown: this round kept no figures for it. Later rounds do."


HEARD: dict[Channel, str] = {
    "mix": "samples.mean(axis=1)",
    "left": "samples[:, 0]",
    "right": "samples[:, min(1, samples.shape[1] - 1)]",
}
"""What was heard of the samples (S, C) of a file, as Python."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """How a card speaks of one kind of label."""

    task: str  # what the model does, before the names of its classes
    part: str  # what it has a number for
    knows: str  # which clips it can't tell apart from others
    figures: Callable[[Any], str]  # of the kind's metrics, as Markdown
    options: str = ""  # of the call of a pipeline
    answers: str = ""  # of a pipeline, where they aren't probabilities


WORDINGS = {
    SingleChoice.problem_type: Wording(
        task="Classifies the emotion of a clip: one of",
        part="class",
        knows="It knows only the classes above, also for silence, noise or music.",
        figures=of_one_class,
    ),
    MultipleChoice.problem_type: Wording(
        task="Classifies the emotion of a clip: any number of",
        part="class",
        knows="It knows only the classes above, also for silence, noise or music.",
        figures=of_several_classes,
        options=", top_k=None",
    ),
    Ratings.problem_type: Wording(
        task="Rates the emotion of a clip:",
        part="dimension",
        knows="It rates whatever it hears, also silence, noise or music.",
        figures=of_ratings,
        options=", top_k=None",
        answers="\n\nIt gives each dimension's rating as `score`, the highest first: no probability. A score may lie a "
        "little\noutside the scale.",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a model comes from, for its card."""

    name: str  # of the model, as a title
    backbone: str  # name or folder of the speech model it started from
    adapted: bool  # whether that was adapted to the pool before (TAPT)
    clips: int  # in the pool
    hours: float  # of audio in the pool
    labels: Mapping[str, float]  # class, or dimension -> training labels; soft votes count in parts
    strategy: str  # acquisition strategy that chose what to label
    question: str = ""  # name of the question in the label config that was learned; '' where it isn't known
    segments: bool = False  # whether labels were of segments of clips
    metrics: Metrics | RatingMetrics | None  # of the whole model on the held-out test set; None where there was none
    plain_metrics: Metrics | RatingMetrics | None = None
    """Of the transformers classifier alone, where a clip head judges beside it."""
    channel: Channel = "mix"  # that was heard of files with several
    clips_per_voice: int | None = None  # median, in the pool, of the test set's known speakers; None where it has none
    speaker_disjoint: bool  # no speaker is both trained on and tested on, and all are known
    method: str = "AFTER (arXiv 2310.00283)"  # that the model was trained by


def model_card(model: EmotionModel | Exported, provenance: Provenance, *, graph: bool = False) -> str:
    """The model card as Markdown, with the metadata that the Hugging Face hub reads.

    Args:
        graph: of an export as ONNX.
    """
    classifier = model.classifier
    classes, wording = class_names(classifier), _wording(classifier)
    labels = "\n".join(f"| {name} | {provenance.labels.get(name, 0):g} |" for name in classes)
    question = f' It answers the question "{provenance.question}" of the label config.' if provenance.question else ""
    question += (
        " It learned from segments that annotators marked, and judges whole clips." if provenance.segments else ""
    )
    adapted = "adapted to the pool without labels (TAPT)" if provenance.adapted else "unadapted"
    backbone = base_model(provenance.backbone) or "of a folder"
    unheard = [name for name in classes if provenance.labels and not provenance.labels.get(name)]
    never = f"\n\nNo clip was labelled {', '.join(unheard)}: the model never learned that." if unheard else ""
    figures = provenance.metrics if graph or _judged_by_classifier(model) else provenance.plain_metrics
    head = metadata(
        name=provenance.name,
        backbone=provenance.backbone,
        family=classifier.config.model_type,
        library="onnx" if graph else "transformers",
        figures=None if graph and _takes_voices_out(model) else figures,  # a single clip's were not measured apart
    )
    return f"""---
{head}
---

# {provenance.name}

{wording.task} {", ".join(map(_named(classifier), classes))}.{question} Made with Aftertone, which follows
{provenance.method}.

{_use_of_graph(model) if graph else _use(model, provenance.channel)}

## Intended use

To find out how speech in a collection sounds: research, archives, the quality of recordings and of synthetic voices.
{EU}

## Data

The pool held {provenance.clips:,} clips, {provenance.hours:.1f} hours. Clips to label were chosen by the strategy
"{provenance.strategy}", so the labels below are not a random sample of the pool.

| {wording.part} | training labels |
| --- | --- |
{labels}{never}

## How good it is

{_quality(model, provenance, graph=graph)}

## Backbone and licence

Backbone: {backbone}, {adapted}. The licence of the backbone and that of the audio are not known to
Aftertone. Look them up before you pass this model on: it may be bound by both.

## Limits

{wording.knows} It learned from clips like those of the pool; other
languages, microphones or speaking styles may lower its accuracy a lot. It predicts how a voice sounds to others, not
what the person feels. Don't use it to judge people. Its probabilities are of these classes and of clips like those it
was tested on.
"""


def _wording(classifier: SpeechClassifier) -> Wording:
    return WORDINGS[classifier.config.problem_type or SingleChoice.problem_type]


def _named(classifier: SpeechClassifier) -> Callable[[str], str]:
    """How a class, or a dimension with its scale, is written."""
    scales = dict(zip(class_names(classifier), getattr(classifier.config, "rating_scales", ()), strict=False))
    return lambda name: f"{name} ({scales[name][0]:g} to {scales[name][1]:g})" if name in scales else name


def _takes_voices_out(model: EmotionModel | Exported) -> bool:
    """Whether it learned to judge the clips of a voice together."""
    head = None if isinstance(model, Exported) else model.head
    return head is not None and bool(head.standardisation.speakers)


def _judged_by_classifier(model: EmotionModel | Exported) -> bool:
    """Whether the transformers classifier is all there is."""
    return isinstance(model, EmotionModel) and model.head is None


def _use(model: EmotionModel | Exported, channel: Channel) -> str:
    wording = _wording(model.classifier)
    option = "" if channel == "mix" else f" --channel {channel}"
    pipeline = f"""```sh
{INSTALL}
```

```python
import soundfile
from transformers import pipeline

samples, rate = soundfile.read("clip.wav", dtype="float32", always_2d=True)
classify = pipeline("audio-classification", model="path/to/this/folder")
classify({{"raw": {HEARD[channel]}, "sampling_rate": rate}}{wording.options})
```{wording.answers}"""
    if _judged_by_classifier(model):
        return pipeline
    if not _takes_voices_out(model):
        why, plain = "In the pool there was no\nvoice known by enough clips, so each", "trained on the same labels"
        if isinstance(model, Exported):
            why, plain = "Each", f"which is\n{model.plain}"
        return f"""`emotions.py` judges a folder of clips as Aftertone does, and prints CSV. {why}
clip is judged by itself.

```sh
python emotions.py path/to/clips{option}
```

`transformers` alone gives single clips to a simpler classifier, {plain}:

{pipeline}"""
    return f"""There are two ways, which differ in how good they are (below).

**Clips of one voice, judged together.** Put {FEWEST} clips or more of the same person into a folder, the more the
better; `emotions.py` takes out what is particular to the voice and prints CSV. It needs torch, transformers, numpy,
safetensors and soundfile.

```sh
python emotions.py path/to/clips{option}
python emotions.py path/to/clips{option} --strangers    # of various voices: each clip is judged by itself
```

**Single clips through `transformers` alone.** A simpler classifier, trained on the same labels:

{pipeline}"""


def _use_of_graph(model: EmotionModel | Exported) -> str:
    together = ""
    if _takes_voices_out(model):
        together = f"""

Clips of one voice, {FEWEST} or more, are judged better together, because what is particular to the voice is then taken
out:

```python
one_voice = onnxruntime.InferenceSession("one_voice.onnx")
features = numpy.concatenate([judge.run(["features"], {{"samples": clip}})[0] for clip in (samples, samples, samples)])
(together,) = one_voice.run(None, {{"features": features}})
```"""
    return f"""`model.onnx` takes one clip of any length from 0.1 s on, as samples (1, S) at 16 kHz, and gives its
`predictions` (1, C) and its `features` (1, F). `labels.json` names the columns.

```sh
pip install onnxruntime soundfile    # no torch, no ffmpeg
```

```python
import json

import numpy
import onnxruntime
import soundfile

recorded, rate = soundfile.read("clip.wav", dtype="float32", always_2d=True)
assert rate == 16_000, "resample it first"
samples = recorded.mean(axis=1)[None]
judge = onnxruntime.InferenceSession("model.onnx")
features, predictions = judge.run(["features", "predictions"], {{"samples": samples}})
with open("labels.json", encoding="utf-8") as file:
    answer = dict(zip(json.load(file)["labels"], predictions[0].tolist()))
```{together}"""


def _quality(model: EmotionModel | Exported, provenance: Provenance, *, graph: bool) -> str:
    metrics, figures = provenance.metrics, _wording(model.classifier).figures
    if metrics is None:
        return NOT_TESTED
    spoken = "who don't occur in training" if provenance.speaker_disjoint else "who may occur in training"
    clips = "1 clip" if metrics.clips == 1 else f"{metrics.clips} clips"
    test_set = f"""Measured on a held-out test set of {clips}, chosen at random and never trained on, by
speakers {spoken}.{"" if too_few(metrics) else f" {_scope(metrics)}"}"""
    if provenance.adapted:
        test_set += " The backbone was adapted to the audio of these clips too, without their labels."
    if _judged_by_classifier(model):
        return f"{test_set}\n\n{figures(metrics)}"
    voices_out = _takes_voices_out(model)
    program = ("`one_voice.onnx`" if voices_out else "`model.onnx`") if graph else "`emotions.py`"
    alone = "`model.onnx` alone" if graph else "`--strangers`"
    caveat = _caveat(provenance, alone) if voices_out else ""
    own = f"""{test_set}

### {"Clips of one voice judged together" if voices_out else "Single clips"} ({program})

{caveat}{figures(metrics)}"""
    if graph:
        return own
    plain = NOT_KEPT if provenance.plain_metrics is None else figures(provenance.plain_metrics)
    return f"""{own}

### Single clips through `pipeline`

{plain}"""


def _caveat(provenance: Provenance, alone: str) -> str:
    """What the figures of known voices rest on."""
    many = "" if provenance.clips_per_voice is None else f" ({provenance.clips_per_voice} of each, in the median)"
    return f"""These figures are transductive: what is particular to a test speaker's voice was measured on that
speaker's own clips in the pool{many}, test clips among them, without their labels. With fewer clips
of a voice, or clips of one emotion only, expect less. Test clips whose speaker was unknown, or had fewer than {FEWEST}
clips, were judged by themselves. How good {alone} is was not measured apart.

"""


def _scope(metrics: Metrics | RatingMetrics) -> str:
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
