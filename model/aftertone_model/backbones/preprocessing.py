"""How a model expects its waveform, which its preprocessor_config.json says beside its weights.

The loaded model carries it in its config, as `do_normalize`, so that every copy, classifier and export keeps it.
"""

from typing import Any

from transformers import Wav2Vec2FeatureExtractor
from transformers.utils import FEATURE_EXTRACTOR_NAME, PROCESSOR_NAME
from transformers.utils.hub import has_file

from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.errors import BackboneError


def normalises(config: Any) -> bool:
    """Whether a model expects waveforms of zero mean and unit variance; so it is unless something says otherwise."""
    return bool(getattr(config, "do_normalize", True))


def cnn_norm(config: Any) -> str:
    """The norm in a model's CNN, "group" or "layer"; data2vec-audio has no choice."""
    return getattr(config, "feat_extract_norm", "layer")


def read_preprocessing(name: str, source: str, config: Any) -> None:
    """Put into a model's config what its preprocessor config says.

    Args:
        name: of the model, for messages.
        source: a folder, or a name on the hub. Without a preprocessor config, `config` stays as it is.

    Raises:
        BackboneError: the model hears another sample rate.
        OSError: it can't be read.
    """
    if not any(has_file(source, file) for file in (FEATURE_EXTRACTOR_NAME, PROCESSOR_NAME)):
        return
    said = Wav2Vec2FeatureExtractor.get_feature_extractor_dict(source)[0]
    rate = said.get("sampling_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        raise BackboneError(f"{name} hears {rate} Hz; set the backbone to a model that hears {SAMPLE_RATE} Hz.")
    if said.get("do_normalize", True) != normalises(config):
        config.do_normalize = said["do_normalize"]


def feature_extractor(config: Any) -> Wav2Vec2FeatureExtractor:
    """What transformers makes a model's inputs with, equal to what `Encoder.encode` does."""
    return Wav2Vec2FeatureExtractor(
        feature_size=1,
        sampling_rate=SAMPLE_RATE,
        padding_value=0.0,
        do_normalize=normalises(config),
        # Group norm sees padding whatever the mask says; for layer norm the mask makes it harmless.
        return_attention_mask=cnn_norm(config) == "layer",
    )
