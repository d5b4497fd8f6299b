"""A teacher for pre-training: the encoder of Smart Turn v3, Whisper-tiny fine-tuned to hear who has finished speaking.

The file is an ONNX graph from log-mel spectra to one probability; its inner layer norms are what is learned from.

Sources: Radford et al. 2022 (Whisper, arXiv 2212.04356); pipecat-ai's smart-turn v3.2 (BSD-2-Clause).
"""

from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.errors import TeacherError
from aftertone_model.pretraining.teachers.teacher import Lesson

HOP = 640  # samples per embedding: two of the encoder's frames of 20 ms
WINDOW = 8 * SAMPLE_RATE  # samples that the encoder hears at once, silence before what is shorter
LAYERS = ("layer_norm_2", "layer_norm_4", "layer_norm_6", "layer_norm_8")  # what layers 1 to 4 give, normalised
WIDTH = 384
# A linear probe for emotion on each layer alone has a UA of 0.664, 0.684, 0.660, 0.619; shares go by what is above 0.6.
SHARES = (0.28, 0.37, 0.27, 0.08)


class SmartTurn:
    """The encoder, one vector per 40 ms; frozen."""

    name, hop = "smart-turn", HOP

    def __init__(self, path: Path) -> None:
        """
        Raises:
            TeacherError: `path` holds no Smart Turn graph, or onnx and onnxruntime are not installed.
        """
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise TeacherError("A Smart Turn teacher needs onnxruntime: `pip install aftertone[pretrain]`.") from error
        try:
            graph = onnx.load(path)
            present = {output for node in graph.graph.node for output in node.output}
            if not present.issuperset(LAYERS):
                raise ValueError("it lacks the encoder's layer norms")
            for layer in LAYERS:
                graph.graph.output.append(onnx.helper.make_tensor_value_info(layer, onnx.TensorProto.FLOAT, None))
            content = graph.SerializeToString()
        except FileNotFoundError:
            raise TeacherError(f"There is no {path}. Name a file of Smart Turn, or leave the teacher out.") from None
        except Exception as error:  # what onnx raises depends on what the file is instead
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise TeacherError(
                f"{path} holds no Smart Turn graph ({reason}). Name a file such as smart-turn-v3.2-cpu.onnx, or leave "
                "the teacher out."
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the same sums on every machine with these instructions
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.fingerprint = f"teacher-{sha256(path.read_bytes()).hexdigest()[:16]}"

    @property
    def lessons(self) -> Sequence[Lesson]:
        """Layer by layer: the backbone's last three layers learn the first three; the last learns the fourth too."""
        return [
            Lesson(columns=slice(number * WIDTH, (number + 1) * WIDTH), layer=layer, weight=share)
            for number, (layer, share) in enumerate(zip((-3, -2, -1, -1), SHARES, strict=True))
        ]

    @cached_property
    def _features(self) -> Any:
        from transformers import WhisperFeatureExtractor

        return WhisperFeatureExtractor(feature_size=80, chunk_length=WINDOW // SAMPLE_RATE)

    def embed(self, waveform: NDArray[np.float32]) -> NDArray[np.float16]:
        """All four layers side by side, the mean over two frames each: (T, 1536) float16.

        What is longer than 8 s is heard in pieces of 8 s.
        """
        pieces = [self._piece(waveform[start : start + WINDOW]) for start in range(0, max(len(waveform), 1), WINDOW)]
        return np.concatenate([piece for piece in pieces if len(piece)] or [self._piece(np.zeros(HOP, np.float32))])

    def _piece(self, waveform: NDArray[np.float32]) -> NDArray[np.float16]:
        count = len(waveform) // HOP
        padded = np.concatenate([np.zeros(WINDOW - len(waveform), np.float32), waveform])
        mel = self._features(padded, sampling_rate=SAMPLE_RATE, do_normalize=True, return_tensors="np").input_features
        layers: Any = self._session.run(list(LAYERS), {"input_features": mel.astype(np.float32)})
        joined = np.concatenate(layers, axis=-1)[0]  # (400, 4 · 384)
        heard = joined[len(joined) - 2 * count :]  # a clip's own frames stand last
        return heard.reshape(count, 2, joined.shape[1]).mean(axis=1).astype(np.float16)
