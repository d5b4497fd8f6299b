"""Export as ONNX: graphs that take samples of any length, compared with the model that they were made of."""

import copy
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aftertone_model.backbones.encoder import Encoder
from aftertone_model.backbones.preprocessing import normalises
from aftertone_model.classification.classifier import EPSILON, class_names, clip_features, embed
from aftertone_model.classification.clip_head import SHRINKAGE, ClipHead
from aftertone_model.classification.model import EmotionModel
from aftertone_model.data.batches import pad
from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.errors import ExportError
from aftertone_model.export.exported import Exported
from aftertone_model.export.model_card import Provenance, model_card
from aftertone_model.labels import MultipleChoice, Ratings

GRAPH, ONE_VOICE, LABELS = "model.onnx", "one_voice.onnx", "labels.json"
OPSET = 17
TOLERANCE = 1e-3  # of a probability, or of a rating as a share of its scale
CHECKED = 8  # clips that the graph is compared on
CNN_EPSILON = 1e-7  # of the variance of a clip's samples, as transformers' feature extractor adds it


def export_onnx(
    model: EmotionModel | Exported, folder: Path, provenance: Provenance, clips: Sequence[NDArray[np.float32]]
) -> None:
    """Write `model.onnx`, `labels.json` and README.md into a folder.

    Where the clip head knows voices, there is also `one_voice.onnx`, which judges clips by their features. Where there
    is a clip head, `model.onnx` judges as that does a stranger's clip; else it is the plain classifier.

    Args:
        folder: made if it is missing.
        clips: (S,) each, at 16 kHz, of different lengths: what the graph says of them is compared with the model.

    Raises:
        ExportError: the model has a head of its own kind, onnx or onnxruntime isn't installed, torch can't export this
            model, or the graph says otherwise.
    """
    if isinstance(model, Exported):
        raise ExportError(
            "Only models of METHOD=after can be written as ONNX so far. `--format transformers` exports every model."
        )
    runtime = _runtime()
    folder.mkdir(parents=True, exist_ok=True)
    model = model.in_units()
    graph = Graph(model)
    _write(graph, (torch.randn(1, SAMPLE_RATE) * 0.1,), folder / GRAPH, "samples", ["features", "predictions"], 1)
    _compare(model, runtime.InferenceSession(folder / GRAPH), clips)
    head = model.head
    if head is not None and head.standardisation.speakers:
        width = len(head.standardisation.location)
        _write(
            OneVoice(head, graph.activation),
            (torch.randn(3, width),),
            folder / ONE_VOICE,
            "features",
            ["predictions"],
            0,
        )
    names, scales = class_names(model.classifier), getattr(model.classifier.config, "rating_scales", None)
    said = {"labels": names, "problem_type": model.classifier.config.problem_type, "sampling_rate": SAMPLE_RATE}
    text = json.dumps(said | ({"scales": scales} if scales else {}), ensure_ascii=False, indent=1)
    (folder / LABELS).write_text(f"{text}\n", encoding="utf-8")
    (folder / "README.md").write_text(model_card(model, provenance, graph=True), encoding="utf-8")


class Activation(nn.Module):
    """From logits (N, C) to probabilities, or to ratings within their scales."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self._kind: str = config.problem_type
        low, high = np.transpose(getattr(config, "rating_scales", [[0.0, 1.0]]))
        self.low, self.high = nn.Buffer(torch.tensor(low).float()), nn.Buffer(torch.tensor(high).float())

    def forward(self, logits: Tensor) -> Tensor:
        if self._kind == Ratings.problem_type:
            return torch.minimum(torch.maximum(logits, self.low), self.high)
        return logits.sigmoid() if self._kind == MultipleChoice.problem_type else logits.softmax(dim=-1)


class Graph(nn.Module):
    """From samples (1, S) to features (1, F) and predictions (1, C)."""

    def __init__(self, model: EmotionModel) -> None:
        super().__init__()
        self.classifier: Any = copy.deepcopy(model.classifier).cpu().float().eval()
        self.classifier.set_attn_implementation("eager")
        self.activation = Activation(self.classifier.config)
        self._normalises = normalises(self.classifier.config)
        self._mixes = bool(self.classifier.config.use_weighted_layer_sum)
        self._head = model.head is not None
        if model.head is not None:
            head = model.head.to(torch.device("cpu"))
            own = head.standardisation
            self.location, self.scale = nn.Buffer(own.location.float()), nn.Buffer(own.scale.float())
            self.weight, self.bias = nn.Buffer(head.stranger.weight.float()), nn.Buffer(head.stranger.bias.float())
            self._deviates = len(own.location) == 2 * self._layers * self.classifier.config.hidden_size

    @property
    def _layers(self) -> int:
        return self.classifier.config.num_hidden_layers + 1 if self._mixes else 1

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        heard = samples
        if self._normalises:
            centred = heard - heard.mean(dim=1, keepdim=True)
            heard = centred / (centred.square().mean(dim=1, keepdim=True) + CNN_EPSILON).sqrt()
        encoder = Encoder(self.classifier)
        frames = encoder.body.feature_extractor(heard).transpose(1, 2)  # (1, T, C)
        lengths = torch.tensor([frames.shape[1]])
        layers = encoder.layers(frames, lengths) if self._mixes else [encoder.contextualise(frames, lengths)]
        stacked = torch.stack(layers, dim=1)  # (1, L, T, D)
        mean = stacked.mean(dim=2)  # (1, L, D)
        if not self._head:
            features = embed(self.classifier, mean)
            return features, self.activation(self.classifier.classifier(features))
        deviation = ((stacked - mean[:, :, None]).square().mean(dim=2) + EPSILON).sqrt()
        features = (torch.cat([mean, deviation], dim=2) if self._deviates else mean).flatten(1)
        view = (features - self.location) / self.scale
        return features, self.activation(view @ self.weight.T + self.bias)


class OneVoice(nn.Module):
    """From features (N, F) of clips of one voice, N >= 3, to predictions (N, C)."""

    def __init__(self, head: ClipHead, activation: Activation) -> None:
        super().__init__()
        head = head.to(torch.device("cpu"))
        own = head.standardisation
        self.location, self.scale = nn.Buffer(own.location.double()), nn.Buffer(own.scale.double())
        self.weight, self.bias = nn.Buffer(head.known.weight.float()), nn.Buffer(head.known.bias.float())
        self.activation = activation

    def forward(self, features: Tensor) -> Tensor:
        own = features.double()
        ones = torch.ones_like(own[:, :1])
        count = ones.sum(dim=0)  # (1,); a size would be written into the graph as it is now
        total = own.sum(dim=0)
        mean = (total + SHRINKAGE * self.location) / (count + SHRINKAGE)
        spread = (own - total / count).square().sum(dim=0)
        variance = (spread + SHRINKAGE * self.scale.square()) / (count + SHRINKAGE)
        view = ((own - mean) / variance.sqrt()).float()
        return self.activation(view @ self.weight.T + self.bias)


def _runtime() -> Any:
    try:
        import onnx  # noqa: F401  # pyright: ignore[reportUnusedImport] -- torch's exporter needs it
        import onnxruntime
    except ImportError:
        raise ExportError(
            "Export as ONNX needs onnx and onnxruntime: `pip install 'aftertone[onnx]'`, or onnx and onnxruntime by "
            "themselves."
        ) from None
    return onnxruntime


def _write(module: nn.Module, example: tuple[Tensor, ...], path: Path, takes: str, gives: list[str], axis: int) -> None:
    """Trace a module whose input has `axis` of any length; outputs are as many as inputs where that is the first."""
    axes = {takes: {axis: "length" if axis else "clips"}} | ({} if axis else {name: {0: "clips"} for name in gives})
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracer, about shapes; the comparison shows whether they matter
        try:
            torch.onnx.export(
                module.eval(), example, path, input_names=[takes], output_names=gives, dynamic_axes=axes,
                opset_version=OPSET, dynamo=False,
            )  # fmt: skip
        except Exception as error:
            raise ExportError(
                f"torch can't write this model as ONNX ({str(error).splitlines()[0][:200]}). `--format transformers` "
                "exports every model."
            ) from error


def _compare(model: EmotionModel, session: Any, clips: Sequence[NDArray[np.float32]]) -> None:
    config = model.classifier.config
    spans = np.ptp(getattr(config, "rating_scales", [[0.0, 1.0]]), axis=1)
    for samples in clips[:CHECKED]:
        (said,) = session.run(["predictions"], {"samples": samples[None].astype(np.float32)})
        apart = float((np.abs(said[0] - _expected(model, samples)) / spans).max())
        if not apart <= TOLERANCE:
            seconds = len(samples) / SAMPLE_RATE
            raise ExportError(
                f"The ONNX graph differs from the model by {apart:.4f} on a clip of {seconds:.1f} s and isn't kept. "
                "`--format transformers` exports every model."
            )


@torch.no_grad()
def _expected(model: EmotionModel, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(C,) what the model says of a clip by itself, on the way that rounds are scored on."""
    frames, lengths = pad([Encoder(model.classifier).encode(samples)])
    features = clip_features(model.classifier, frames, lengths)
    if model.head is None:
        logits = model.classifier.classifier(embed(model.classifier, features))
    else:
        logits = model.head.logits(model.head.describe(features), [None])
    return Activation(model.classifier.config)(logits)[0].numpy()
