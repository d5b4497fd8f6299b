"""The families of speech models that a backbone can be of, by transformers' `model_type`."""

from dataclasses import dataclass
from typing import Literal

from transformers import (
    Data2VecAudioForSequenceClassification,
    Data2VecAudioModel,
    HubertForSequenceClassification,
    HubertModel,
    PreTrainedConfig,
    PreTrainedModel,
    Wav2Vec2ForPreTraining,
    Wav2Vec2ForSequenceClassification,
    WavLMForSequenceClassification,
    WavLMModel,
)

from aftertone_model.backbone_names import wrong_family

SpeechClassifier = (
    Wav2Vec2ForSequenceClassification
    | HubertForSequenceClassification
    | WavLMForSequenceClassification
    | Data2VecAudioForSequenceClassification
)
"""transformers' own classifiers over a backbone: a projector, a mean over time, a linear layer."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """What differs between families; what they share is in `Encoder`."""

    pretraining: type[PreTrainedModel]  # holds the backbone and what its pre-training goes on with
    classifier: type[SpeechClassifier]
    projections: Literal["called", "read"] = "called"  # whether its attention calls them, or reads their weights
    objective: Literal["contrastive", "masked-units"]  # what it can be adapted with, see `aftertone_model.pretraining`


FAMILIES = {
    "wav2vec2": Family(  # XLS-R and MMS are of this type too
        pretraining=Wav2Vec2ForPreTraining, classifier=Wav2Vec2ForSequenceClassification, objective="contrastive"
    ),
    "hubert": Family(pretraining=HubertModel, classifier=HubertForSequenceClassification, objective="masked-units"),
    "wavlm": Family(
        pretraining=WavLMModel,
        classifier=WavLMForSequenceClassification,
        objective="masked-units",
        projections="read",
    ),
    "data2vec-audio": Family(
        pretraining=Data2VecAudioModel, classifier=Data2VecAudioForSequenceClassification, objective="masked-units"
    ),
}


def family_of(config: PreTrainedConfig) -> Family:
    """The family of a model's config.

    Raises:
        BackboneError: it is of none of `FAMILIES`.
    """
    try:
        return FAMILIES[config.model_type]
    except KeyError:
        raise wrong_family(config.model_type) from None
