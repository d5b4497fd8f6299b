"""Judge the emotion of clips with the model in this file's folder.

    python emotions.py FOLDER                 clips of one voice, judged together
    python emotions.py FOLDER --strangers     clips of various voices, each judged by itself

Prints CSV: file, emotion, probability of each class; where it rates clips: file, rating in each dimension. A name that
a spreadsheet might run as a formula gets an apostrophe before it. Clips should be utterances of some seconds. Takes
WAV, FLAC, OGG, MP3 and whatever else soundfile reads. Needs torch, transformers, numpy, safetensors and soundfile.

Voices differ more than emotions do. So the clips of one voice are compared with each other: each feature is brought to
mean 0 and deviation 1 over all of them, which needs no label. The more clips, and the more varied their emotions, the
better. With fewer than three, each is judged by itself. A folder of several voices must not be judged together.
Where head.py lies beside this file, each clip is judged by itself in any case.

This file is part of Aftertone, Apache-2.0.
"""

import argparse
import csv
import importlib.util
import math
import os
import re
import sys
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

HERE = Path(__file__).resolve().parent
RATE = 16_000  # Hz, of the samples that the model hears
SHORTEST = 0.1  # seconds of a clip
SILENCE = 1e-4  # peak of a clip that counts as silent
FEWEST = 3  # clips of a voice that are judged together
SHRINKAGE = 10  # clips of the training pool that those of a voice are averaged with, so that few mislead less
EPSILON = 1e-6  # added to variances over time
SLOWEST, FASTEST = 1_000, 768_000  # Hz, sample rates of files that are taken
CROSSINGS = 6  # of zero, on each side of the filter that changes the sample rate
CELLS = re.compile(r"([;\t\n])")  # where some readers of CSV begin another cell
FORMULA = re.compile(  # what a cell begins with that a spreadsheet may run, perhaps behind what nobody sees
    r"""[\s"\x00-\x1f\x7f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*[=+@\uff1d\uff0b\uff0d\uff20-]"""
)
NUMBER = re.compile(r"-?[0-9]+[.][0-9]+")
ROLL_OFF = 0.99  # its cutoff, as a share of half the lower rate


class Emotions:
    """The model: a transformer that describes clips, and two linear maps of what it says to classes or ratings.

    One is for clips of a voice that others are there of, the other for single clips of strangers. Where the folder has
    neither, the transformer's own classifier judges each clip by itself.
    """

    def __init__(self, folder: Path = HERE) -> None:
        self._network: Any = AutoModelForAudioClassification.from_pretrained(folder).eval()
        self._normalise: Any = AutoFeatureExtractor.from_pretrained(folder)
        head = folder / "clip_head.safetensors"
        self._own = own_head(self._network, folder)
        self._head = load_file(head) if self._own is None and head.exists() else {}
        config = self._network.config
        self._mixes_layers = bool(config.use_weighted_layer_sum)
        self._needed = receptive_field(config.conv_kernel, config.conv_stride)
        self._several = config.problem_type == "multi_label_classification"
        self._scales = getattr(config, "rating_scales", None)  # lowest and highest rating in each dimension
        self.classes: tuple[str, ...] = tuple(config.id2label[number] for number in range(config.num_labels))

    def features(self, clips: Iterable[NDArray[np.float32]]) -> Tensor:
        """(N, F) of clips, each (S,) samples at 16 kHz: mean and deviation over time of what the
        transformer reads and of each layer's output; without a head the logits (N, C) of its classifier."""
        return torch.stack([self._describe(samples) for samples in clips])

    def one_voice(self, features: Tensor) -> NDArray[np.float64]:
        """(N, C) probabilities, or ratings, of clips (N, F) that are all of one voice."""
        head, count = self._head, len(features)
        if count < FEWEST or "known.weight" not in head:  # it isn't there where no voice in training was known
            return self.strangers(features)
        own, location, scale = features.double(), head["location"].double(), head["scale"].double()
        mean = (own.sum(dim=0) + SHRINKAGE * location) / (count + SHRINKAGE)
        variance = (count * own.var(dim=0, correction=0) + SHRINKAGE * scale.square()) / (count + SHRINKAGE)
        view = ((own - mean) / variance.sqrt()).float()
        return self._predictions(view @ head["known.weight"].T + head["known.bias"])

    def strangers(self, features: Tensor) -> NDArray[np.float64]:
        """(N, C) probabilities, or ratings, of clips (N, F), each as if nothing else were known of who speaks."""
        if self._own is not None:
            return self._predictions(self._own.logits(features))
        if not self._head:
            return self._predictions(features)
        view = (features - self._head["location"]) / self._head["scale"]
        return self._predictions(view @ self._head["stranger.weight"].T + self._head["stranger.bias"])

    def row(self, predictions: Sequence[float]) -> list[str]:
        """A clip's cells of the table, after its name."""
        if self._scales:
            return [f"{rating:.3f}" for rating in predictions]
        return [self.answer(predictions), *(f"{share:.6f}" for share in predictions)]

    @property
    def columns(self) -> list[str]:
        """Their names."""
        return [*self.classes] if self._scales else ["emotion", *self.classes]

    def answer(self, probabilities: Sequence[float]) -> str:
        """The most probable class; where classes don't exclude each other, all that are more likely than not."""
        if self._several:
            return "; ".join(name for name, share in zip(self.classes, probabilities, strict=True) if share >= 0.5)
        return self.classes[int(np.argmax(probabilities))]

    def _predictions(self, logits: Tensor) -> NDArray[np.float64]:
        logits = logits.double()
        if self._scales:
            low, high = np.transpose(self._scales)
            return np.clip(logits.numpy(), low, high)
        return (logits.sigmoid() if self._several else logits.softmax(dim=-1)).numpy()

    @torch.no_grad()
    def _describe(self, samples: NDArray[np.float32]) -> Tensor:
        """(F,)"""
        heard = self._normalise(samples, sampling_rate=RATE, return_tensors="pt").input_values  # (1, S)
        heard = torch.nn.functional.pad(heard, (0, max(self._needed - heard.shape[1], 0)))
        if self._own is not None:
            return self._own.describe(heard)
        if not self._head:
            return self._network(heard).logits[0]
        outputs: list[Tensor] = []

        def keep(_layer: torch.nn.Module, _inputs: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]) -> None:
            outputs.append(output[0] if isinstance(output, tuple) else output)

        body = self._network.base_model
        hooks = [part.register_forward_hook(keep) for part in (body.feature_projection, *body.encoder.layers)]
        try:
            last = body(heard).last_hidden_state  # (1, T, D)
        finally:
            for hook in hooks:
                hook.remove()
        layers = torch.cat(outputs if self._mixes_layers else [last])  # (L, T, D)
        deviation = (layers.var(dim=1, correction=0) + EPSILON).sqrt()
        described = torch.cat([layers.mean(dim=1), deviation], dim=1)  # (L, 2D)
        if len(self._head["location"]) < described.numel():  # a head that was trained on the means alone
            described = described[:, : layers.shape[2]]
        return described.flatten()


def own_head(network: Any, folder: Path) -> Any:
    """What head.py makes of the network, which some methods come with; None where there is none."""
    file = folder / "head.py"
    if not file.is_file():
        return None
    made = importlib.util.spec_from_file_location("head", file)
    assert made is not None
    assert made.loader is not None
    module = importlib.util.module_from_spec(made)
    made.loader.exec_module(module)
    return module.Head(network, folder)


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Samples that convolutions need for one frame."""
    field, hop = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return field


def read(path: Path, channel: str = "mix") -> NDArray[np.float32]:
    """The samples (S,) of a file at 16 kHz: the mean of its channels, or its first (`left`) or second (`right`) one.

    Raises:
        ValueError: it can't be used; the message says why.
    """
    try:
        with path.open("rb") as file:  # soundfile doesn't open names that are no UTF-8
            channels, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except PermissionError:
        raise ValueError("it can't be opened; check its permissions") from None
    except (soundfile.LibsndfileError, OSError, TypeError):  # TypeError: a name that ends in .raw
        raise ValueError("soundfile can't read it; convert it to WAV or FLAC") from None
    columns = {"left": 0, "right": min(1, channels.shape[1] - 1)}
    picked = channels.mean(axis=1) if channel == "mix" else channels[:, columns[channel]]
    samples = np.ascontiguousarray(picked, np.float32)
    if len(samples) < SHORTEST * rate:
        raise ValueError(f"it is shorter than {SHORTEST} s")
    if not np.isfinite(samples).all():
        raise ValueError("it holds samples that are no numbers")
    if np.abs(samples).max() < SILENCE:
        raise ValueError("it is silent")
    return resample(samples, rate)


def resample(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Samples (S,) at another rate, in Hz, at 16 kHz: through a low-pass, a sinc under a squared cosine.

    Raises:
        ValueError: the rate is no file's of speech.
    """
    if not SLOWEST <= rate <= FASTEST:
        raise ValueError(f"its sample rate is {rate} Hz")
    ratio = Fraction(RATE, rate).limit_denominator(1_000)
    if ratio == 1:
        return samples
    cutoff = ROLL_OFF * min(1.0, float(ratio))  # of half the given rate
    reach = math.ceil(CROSSINGS / cutoff)  # samples on each side that count
    around = np.arange(-reach, reach + 1)
    padded = np.pad(samples, (reach, reach + 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(around))
    count = math.ceil(len(samples) * ratio)
    made = np.empty(count, np.float32)
    for start in range(0, count, RATE):  # a second at a time, or long clips would need much memory
        moments = np.arange(start, min(start + RATE, count)) / float(ratio)  # in samples of the given rate
        nearest = moments.astype(int)
        crossings = cutoff * (around - (moments - nearest)[:, None])  # (M, 2 reach + 1)
        window = np.cos(np.pi / 2 * np.clip(crossings / CROSSINGS, -1, 1)) ** 2
        made[start : start + RATE] = (windows[nearest] * cutoff * np.sinc(crossings) * window).sum(axis=1)
    return made


def shown(path: Path | str) -> str:
    """A path as text that can be written anywhere: bytes that are no UTF-8 as, for example, `\\xe9`."""
    return os.fsencode(path).decode(errors="backslashreplace")


def for_spreadsheets(cell: str) -> str:
    """A cell that no spreadsheet runs: numbers as they are, other text with an apostrophe where it begins a formula.

    Readers may split a cell at a semicolon, a tab or a line break, so each of the pieces is looked at. Line breaks are
    all written as one that csv puts quotes around; a bare carriage return would begin another row.
    """
    if NUMBER.fullmatch(cell):
        return cell
    text = cell.replace("\r\n", "\n").replace("\r", "\n")
    safe = "".join(f"'{piece}" if FORMULA.match(piece) else piece for piece in CELLS.split(text))
    return f"'{safe}" if text.startswith(("\t", "\n")) else safe


def main() -> int:
    """Judge a folder; 1 if no clip in it can be used."""
    parser = argparse.ArgumentParser(description="Judge the emotion of the clips in a folder; prints CSV.")
    parser.add_argument("folder", type=Path, help="clips of one voice")
    parser.add_argument("--strangers", action="store_true", help="they are of various voices: judge each by itself")
    parser.add_argument(
        "--channel", choices=("mix", "left", "right"), default="mix", help="what is heard of files with several"
    )
    asked = parser.parse_args()
    if not asked.folder.is_dir():
        parser.error(f"there is no folder {asked.folder}")
    names, described, model = [], [], Emotions()
    for path in sorted(asked.folder.iterdir()):
        if path.is_dir() or path.name.startswith("."):
            continue
        try:
            described.append(model.features([read(path, asked.channel)]))
        except ValueError as error:
            print(f"{shown(path.name)} is left out: {error}.", file=sys.stderr)
        else:
            names.append(shown(path.name))
    if not names:
        print(f"There is no clip in {asked.folder} that can be used.", file=sys.stderr)
        return 1
    if len(names) < FEWEST and not asked.strangers:
        print(f"Fewer than {FEWEST} clips: each is judged by itself.", file=sys.stderr)
    features = torch.cat(described)
    predictions = model.strangers(features) if asked.strangers else model.one_voice(features)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(map(for_spreadsheets, ["file", *model.columns]))
    for name, row in zip(names, predictions.tolist(), strict=True):
        table.writerow(map(for_spreadsheets, [name, *model.row(row)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
