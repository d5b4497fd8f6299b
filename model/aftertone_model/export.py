"""Export: a folder that `transformers.pipeline("audio-classification")` loads, with a model card."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from transformers import Wav2Vec2FeatureExtractor

from aftertone_model.backbones.families import SpeechClassifier
from aftertone_model.classification.classifier import class_names
from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.evaluation.metrics import Estimate, Metrics
from aftertone_model.labels import MultipleChoice


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
    metrics: Metrics | None  # on the held-out test set; None where there was none
    speaker_disjoint: bool  # no speaker is both trained on and tested on, and all are known


def export(classifier: SpeechClassifier, folder: Path, provenance: Provenance) -> None:
    """Write weights (safetensors), config, preprocessor_config.json and README.md into `folder`, made if it is missing.

    The weights are written in float32. `pipeline("audio-classification", model=folder)` takes samples at any rate.
    """
    folder.mkdir(parents=True, exist_ok=True)
    classifier.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(
        feature_size=1,
        sampling_rate=SAMPLE_RATE,
        padding_value=0.0,
        do_normalize=True,  # as `Encoder.encode` does
        # Group norm sees padding whatever the mask says; for layer norm the mask makes it harmless.
        return_attention_mask=classifier.config.feat_extract_norm == "layer",
    ).save_pretrained(folder)
    (folder / "README.md").write_text(model_card(classifier, provenance), encoding="utf-8")


def model_card(classifier: SpeechClassifier, provenance: Provenance) -> str:
    """The model card as Markdown, with the metadata that the Hugging Face hub reads."""
    classes = class_names(classifier)
    several = classifier.config.problem_type == MultipleChoice.problem_type
    labels = "\n".join(f"| {name} | {provenance.labels.get(name, 0):g} |" for name in classes)
    kind = "any number of" if several else "one of"
    options = ", top_k=None" if several else ""
    adapted = "adapted to the pool without labels (TAPT)" if provenance.adapted else "unadapted"
    return f"""---
library_name: transformers
pipeline_tag: audio-classification
tags: [speech-emotion-recognition, {classifier.config.model_type}, active-learning, aftertone]
---

# {provenance.name}

Classifies the emotion of a clip: {kind} {", ".join(classes)}. Made with Aftertone, which follows AFTER
(arXiv 2310.00283).

```python
import soundfile
from transformers import pipeline

samples, rate = soundfile.read("clip.wav", dtype="float32", always_2d=True)
classify = pipeline("audio-classification", model="path/to/this/folder")
classify({{"raw": samples.mean(axis=1), "sampling_rate": rate}}{options})
```

## Data

The pool held {provenance.clips:,} clips, {provenance.hours:.1f} hours. Clips to label were chosen by the strategy
"{provenance.strategy}", so the labels below are not a random sample of the pool.

| class | training labels |
| --- | --- |
{labels}

## How good it is

{_figures(provenance, several)}

## Backbone and licence

Backbone: {provenance.backbone}, {adapted}. The licence of the backbone and that of the audio are not known to
Aftertone. Look them up before you pass this model on: it may be bound by both.

## Limits

It knows only the classes above, also for silence, noise or music. It learned from clips like those of the pool; other
languages, microphones or speaking styles may lower its accuracy a lot. It predicts how a voice sounds to others, not
what the person feels. Don't use it to judge people.
"""


def _figures(provenance: Provenance, several: bool) -> str:
    metrics = provenance.metrics
    if metrics is None:
        return "Unknown: no clip was held out to test it on."
    spoken = "who don't occur in training" if provenance.speaker_disjoint else "who may occur in training"
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
    return f"""Measured on a held-out test set of {metrics.clips} clips, chosen at random and never trained on, by
speakers {spoken}. {_scope(metrics)}

| figure | value | interval |
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
