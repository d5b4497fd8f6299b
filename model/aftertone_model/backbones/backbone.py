"""The self-supervised speech model: loading it, and running it in two halves.

The first half, a CNN over the waveform, is frozen, so its output ("frames", about 50 per second) is computed once per
clip and cached. The second half, a transformer over the frames, is what TAPT, fine-tuning and scoring run.
"""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Module
from transformers import (
    AutoConfig,
    Wav2Vec2Config,
    Wav2Vec2ForPreTraining,
    Wav2Vec2ForSequenceClassification,
    Wav2Vec2Model,
)

from aftertone_model.backbones.mini import FOLDER, MINI
from aftertone_model.backbones.tiny import TINY, tiny_backbone
from aftertone_model.errors import BackboneError

log = logging.getLogger(__name__)

Backbone = Wav2Vec2ForPreTraining | Wav2Vec2ForSequenceClassification
"""Whatever carries a wav2vec 2.0 body in `.wav2vec2`."""

FRESH = (
    "quantizer.",
    "project_hid.",
    "project_q.",
    "wav2vec2.masked_spec_embed",
)  # absent where a checkpoint was fine-tuned


def load_backbone(name: str, *, seed: int = 0) -> Wav2Vec2ForPreTraining:
    """Load a wav2vec 2.0 with its quantiser, in float32, in eval mode, on the CPU.

    Args:
        name: "aftertone-mini", which comes with the package; "tiny", drawn at random; a local folder; or a model's
            name on the Hugging Face hub. A checkpoint that was saved without the quantiser loads too; the quantiser is
            then drawn under `seed`.
        seed: of every weight that no checkpoint gives.

    Raises:
        BackboneError: there is no such folder, the hub can't be reached, or the model is no wav2vec 2.0.
    """
    if name == TINY:
        return tiny_backbone(seed).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = _load_pretrained(str(FOLDER) if name == MINI else name).eval()
    if name == MINI:
        backbone.name_or_path = backbone.config.name_or_path = MINI
    return backbone


def _load_pretrained(name: str) -> Wav2Vec2ForPreTraining:
    if name.startswith(("/", ".", "~")) and not Path(name).is_dir():
        raise BackboneError(f"There is no folder {name}. Set the backbone to a folder that save_pretrained wrote.")
    try:
        config = AutoConfig.from_pretrained(name)
        if not isinstance(config, Wav2Vec2Config):
            raise BackboneError(f"{name} is a {config.model_type} model; Aftertone needs a wav2vec 2.0 one.")
        if config.add_adapter:
            raise BackboneError(
                f"{name} has adapter layers that shorten time; set the backbone to a model without them."
            )
        if not config.mask_time_prob:
            config.mask_time_prob = 0.05  # above zero, so that the model has the vector that stands for a masked frame
        loaded: Any = Wav2Vec2ForPreTraining.from_pretrained(  # declared without the second half of what it returns
            name, config=config, dtype=torch.float32, output_loading_info=True
        )
        backbone, loading = loaded
    except (OSError, ValueError) as error:
        raise BackboneError(
            f"The backbone {name} can't be loaded: {str(error).splitlines()[0]} Check the name and the connection to "
            "the Hugging Face hub, or download the model elsewhere and set the backbone to its folder."
        ) from error
    missing = sorted(loading["missing_keys"])
    if lost := [key for key in missing if not key.startswith(FRESH)]:
        raise BackboneError(
            f"{name} lacks {len(lost)} weights of wav2vec 2.0, such as {lost[0]}. Set the backbone to a complete model."
        )
    if missing:
        log.warning(
            "The checkpoint has no quantiser: drawn afresh", extra={"action": "quantiser_drawn", "keys": missing}
        )
    return backbone


def fingerprint(backbone: Backbone) -> str:
    """16 hex digits that name the CNN encoder: equal where weights and shape are, so that cached frames stay valid."""
    config = backbone.config
    shape = [
        config.conv_dim,
        config.conv_kernel,
        config.conv_stride,
        config.feat_extract_norm,
        config.feat_extract_activation,
    ]
    digest = hashlib.sha256(json.dumps([list(map(str, part)) for part in shape]).encode())
    for name, weight in sorted(backbone.wav2vec2.feature_extractor.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@torch.no_grad()
def encode_waveform(backbone: Backbone, waveform: NDArray[np.float32]) -> NDArray[np.float16]:
    """Run the CNN encoder on one clip.

    The clip is normalised and runs as a batch of one, without padding, so that the frames
    of a group-norm backbone don't depend on other clips either.

    Args:
        waveform: (S,) at 16 kHz. A clip shorter than the CNN's receptive field is padded with silence to one frame.

    Returns:
        (T, C) float16, about 50 frames per second.

    Raises:
        BackboneError: a frame is not finite in float16.
    """
    normal = normalise(backbone, waveform)
    device = backbone.wav2vec2.feature_projection.projection.weight.device
    frames = backbone.wav2vec2.feature_extractor(torch.from_numpy(normal).to(device)[None])  # (1, C, T)
    half = frames[0].T.half().cpu().numpy()  # (T, C)
    if not np.isfinite(half).all():
        raise BackboneError("The CNN encoder's output overflows float16. Use another checkpoint of this model.")
    return half


def normalise(backbone: Backbone, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Zero mean, unit variance, and silence behind a clip (S,) that is too short for one frame of the CNN."""
    centred = waveform - waveform.mean(dtype=np.float64)
    normal = (centred / np.sqrt(centred.var(dtype=np.float64) + 1e-7)).astype(np.float32)
    return np.pad(normal, (0, max(receptive_field(backbone.config) - len(normal), 0)))


def contextualise(wav2vec2: Wav2Vec2Model, frames: Tensor, lengths: Tensor, *, masked: Tensor | None = None) -> Tensor:
    """Run the transformer on cached CNN frames; equal to the model's own forward on each waveform alone.

    Args:
        wav2vec2: the body; train mode applies its dropout and LayerDrop.
        frames: (B, T, C), any float type; what lies beyond a clip's length has no influence.
        lengths: (B,) frames of each clip, int64; on the CPU it costs no wait for the GPU.
        masked: (B, T) bool, frames to replace by the mask vector (TAPT).

    Returns:
        (B, T, D); meaningless beyond a clip's length.
    """
    hidden, attention = _transformer_input(wav2vec2, frames, lengths, masked)
    return wav2vec2.encoder(hidden, attention_mask=attention).last_hidden_state  # (B, T, D)


def contextualise_layers(wav2vec2: Wav2Vec2Model, frames: Tensor, lengths: Tensor) -> list[Tensor]:
    """As `contextualise`, the output (B, T, D) of each transformer layer, first to last."""
    hidden, attention = _transformer_input(wav2vec2, frames, lengths, None)
    layers: list[Tensor] = []

    def keep(_layer: Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        layers.append(output)

    hooks = [layer.register_forward_hook(keep) for layer in wav2vec2.encoder.layers]
    try:
        wav2vec2.encoder(hidden, attention_mask=attention)
    finally:
        for hook in hooks:
            hook.remove()
    return layers


def _transformer_input(
    wav2vec2: Wav2Vec2Model, frames: Tensor, lengths: Tensor, masked: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    hidden, _ = wav2vec2.feature_projection(frames.float())  # (B, T, D)
    if masked is not None:
        hidden = torch.where(masked[..., None], wav2vec2.masked_spec_embed.to(hidden.dtype), hidden)
    time = frames.shape[1]
    if bool((lengths == time).all()):
        return hidden, None  # without a mask attention takes its fastest kernel
    return hidden, torch.arange(time, device=frames.device) < lengths.to(frames.device)[:, None]  # (B, T)


def receptive_field(config: Wav2Vec2Config) -> int:
    """Samples that the CNN needs for one frame."""
    field, hop = 1, 1
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return field
