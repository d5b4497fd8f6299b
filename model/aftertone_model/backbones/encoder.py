"""Running a speech model in two halves, whichever family it is of.

The first half, a CNN over the waveform, is frozen, so its output ("frames", about 50 per second) is computed once per
clip and cached. The second half, a transformer over the frames, is what TAPT, fine-tuning and scoring run.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Module
from transformers import PreTrainedModel

from aftertone_model.backbones.convolutions import Cnn
from aftertone_model.backbones.digest import digest
from aftertone_model.backbones.families import Family, family_of
from aftertone_model.backbones.preprocessing import cnn_norm, normalises
from aftertone_model.errors import BackboneError


class Encoder:
    """The two halves of a transformers model of any of `FAMILIES`, a classifier's or a backbone's."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.config: Any = model.config  # a Wav2Vec2Config, or one with the same fields
        self.family: Family = family_of(model.config)
        self.body: Any = model.base_model  # has feature_extractor, feature_projection, encoder and masked_spec_embed

    @property
    def device(self) -> torch.device:
        return self.body.feature_projection.projection.weight.device

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return self.config.inputs_to_logits_ratio

    @property
    def receptive_field(self) -> int:
        """Samples that the CNN needs for one frame."""
        field, hop = 1, 1
        for kernel, stride in zip(self.config.conv_kernel, self.config.conv_stride, strict=True):
            field += (kernel - 1) * hop
            hop *= stride
        return field

    @property
    def fingerprint(self) -> str:
        """16 hex digits that name the CNN: equal where weights, shape and what it hears are, so that cached frames
        stay valid."""
        config = self.config
        shape = [
            config.conv_dim,
            config.conv_kernel,
            config.conv_stride,
            cnn_norm(config),
            config.feat_extract_activation,
            *([] if normalises(config) else ["as recorded"]),
        ]
        prefix = json.dumps([list(map(str, part)) for part in shape]).encode()
        return digest(self.body.feature_extractor.state_dict(), prefix)

    def cnn(self) -> Cnn:
        """The CNN as it is now, laid out for many clips."""
        return Cnn(self.body.feature_extractor)

    def encode(self, waveform: NDArray[np.float32], cnn: Cnn | None = None) -> NDArray[np.float16]:
        """Run the CNN on one clip.

        The clip runs, normalised where the model expects that, as a batch of one, without padding, so that the frames
        of a group-norm backbone don't depend on other clips either.

        Args:
            waveform: (S,) at 16 kHz. A clip shorter than the receptive field is padded with silence to one frame.
            cnn: what `cnn` gave, which is worth while where there are many clips.

        Returns:
            (T, C) float16, about 50 frames per second.

        Raises:
            BackboneError: a frame is not finite in float16.
        """
        half = (cnn or self.cnn())(torch.from_numpy(self.normalise(waveform))).half().cpu().numpy()  # (T, C)
        if not np.isfinite(half).all():
            raise BackboneError("The CNN encoder's output overflows float16. Use another checkpoint of this model.")
        return half

    def normalise(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """A clip (S,) as the model expects it: of zero mean and unit variance, unless its preprocessor_config.json says
        otherwise, and with silence behind one that is too short for one frame of the CNN."""
        heard = waveform
        if normalises(self.config):
            centred = waveform - waveform.mean(dtype=np.float64)
            heard = (centred / np.sqrt(centred.var(dtype=np.float64) + 1e-7)).astype(np.float32)
        return np.pad(heard, (0, max(self.receptive_field - len(heard), 0)))

    def contextualise(self, frames: Tensor, lengths: Tensor, *, masked: Tensor | None = None) -> Tensor:
        """Run the transformer on cached CNN frames; equal to the model's own forward on each waveform alone.

        In train mode the model's dropout and LayerDrop apply.

        Args:
            frames: (B, T, C), any float type; what lies beyond a clip's length has no influence.
            lengths: (B,) frames of each clip, int64; on the CPU it costs no wait for the GPU.
            masked: (B, T) bool, frames to replace by the mask vector (TAPT).

        Returns:
            (B, T, D); meaningless beyond a clip's length.
        """
        hidden, attention = self._transformer_input(frames, lengths, masked)
        with self._padding_unheard(attention):
            return self.body.encoder(hidden, attention_mask=attention).last_hidden_state  # (B, T, D)

    def layers(self, frames: Tensor, lengths: Tensor) -> list[Tensor]:
        """As `contextualise`: the projected CNN frames (B, T, D) that the transformer reads, then what each of its
        layers gives, first to last."""
        hidden, attention = self._transformer_input(frames, lengths, None)
        return [hidden, *self._run(hidden, attention)[1]]

    def contextualise_by_layer(
        self, frames: Tensor, lengths: Tensor, *, masked: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """What `contextualise` gives, and the output (B, T, D) of each transformer layer, of one run."""
        return self._run(*self._transformer_input(frames, lengths, masked))

    def _run(self, hidden: Tensor, attention: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """The transformer's output and each layer's, from its input (B, T, D)."""
        outputs: list[Tensor] = []

        def keep(_layer: Module, _inputs: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]) -> None:
            outputs.append(output[0] if isinstance(output, tuple) else output)  # WavLM's come with a position bias

        hooks = [layer.register_forward_hook(keep) for layer in self.body.encoder.layers]
        try:
            with self._padding_unheard(attention):
                last = self.body.encoder(hidden, attention_mask=attention).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        return last, outputs

    @contextmanager
    def _padding_unheard(self, attention: Tensor | None) -> Iterator[None]:
        """While data2vec-audio runs on a padded batch (B, T).

        It has several convolutions for positions, one after another. Their biases fill the padding, which the next one
        would let a clip's last frames hear; so the padding is emptied after each, as it is before the first.
        """
        layers = () if attention is None else getattr(self.body.encoder.pos_conv_embed, "layers", ())

        def empty(_layer: Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:  # (B, D, T)
            assert attention is not None
            return output * attention[:, None]

        hooks = [layer.register_forward_hook(empty) for layer in layers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _transformer_input(
        self, frames: Tensor, lengths: Tensor, masked: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        projected = self.body.feature_projection(frames.float())
        hidden = projected[0] if isinstance(projected, tuple) else projected  # (B, T, D); HuBERT gives it alone
        if masked is not None:
            hidden = torch.where(masked[..., None], self.body.masked_spec_embed.to(hidden.dtype), hidden)
        time = frames.shape[1]
        if bool((lengths == time).all()):
            return hidden, None  # without a mask attention takes its fastest kernel
        return hidden, torch.arange(time, device=frames.device) < lengths.to(frames.device)[:, None]  # (B, T)
