"""The clip head: a regression on what a clip's frames are like, with the voice taken out where it is known.

A clip is described by the mean and the deviation over time of each transformer layer. Voices differ more than emotions
do, so each speaker's clips are standardised over all clips of that speaker in the pool, for which no label is needed
(Busso et al. 2013; Kaya and Karpov 2018). A clip of a stranger can't be, and a head that learned standardised clips
alone fails on it; so there are two, one for each view, trained on the same labels.

What a clip's first half says otherwise than its second is of the moment: of words more than of emotions. Training damps
the directions in which halves differ most, as within-class covariance normalisation does with a speaker's recordings
(Hatch, Kajarekar and Stolcke 2006); here the class is the clip, so that this needs no label either.

It stands beside the transformers model of a round: rankings, predictions and metrics use it. `save` writes it next to
the model's own files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from aftertone_model.classification.regressions import REGRESSIONS
from aftertone_model.errors import BackboneError
from aftertone_model.labels import LabelSchema

FILE = "clip_head.safetensors"
SHRINKAGE = 10.0  # clips of the pool that a speaker's own are averaged with
FEWEST = 3  # clips of a speaker; with fewer a clip is judged as a stranger's
FLOOR = 1e-2  # least deviation of a feature, as a share of the mean deviation: some hardly vary
DIMENSIONS = 128  # of the embedding that strategies compare clips by
DIRECTIONS = 256  # in which halves of clips differ most, that are damped
STEADY = 1.0  # variance between halves, in units of the feature's own, at which a direction is damped by half its power


@dataclass(frozen=True, kw_only=True)
class Standardisation:
    """Location and scale of F features, of the pool and of each speaker."""

    location: Tensor  # (F,)
    scale: Tensor  # (F,)
    speakers: tuple[str, ...]  # those with `FEWEST` clips or more
    locations: Tensor  # (S, F) of the speakers, shrunk towards the pool's
    scales: Tensor  # (S, F)

    def knows(self, speakers: Sequence[str | None]) -> NDArray[np.bool_]:
        """(N,) whether a clip's speaker has a location of their own."""
        known = set(self.speakers)
        return np.array([speaker in known for speaker in speakers], bool)

    def views(self, features: Tensor, speakers: Sequence[str | None]) -> tuple[Tensor, Tensor]:
        """(N, F) each: standardised as a stranger's, and by speaker where the speaker is known."""
        plain = (features - self.location) / self.scale
        row = {name: number for number, name in enumerate(self.speakers)}
        rows = torch.tensor(
            [-1 if speaker is None else row.get(speaker, -1) for speaker in speakers], device=features.device
        )
        known = rows >= 0
        by_speaker = plain.clone()
        by_speaker[known] = (features[known] - self.locations[rows[known]]) / self.scales[rows[known]]
        return plain, by_speaker


class Moments:
    """Sums over a pool's clips, by speaker, from which a `Standardisation` follows; a clip is seen once."""

    def __init__(self) -> None:
        self._sums: dict[str | None, tuple[int, Tensor, Tensor]] = {}
        """Speaker -> clips, their sum (F,), the sum of their squares (F,), in float64."""

    def add(self, features: Tensor, speakers: Sequence[str | None]) -> None:
        """Take in clips (B, F)."""
        doubled = features.double().cpu()
        for speaker in dict.fromkeys(speakers):
            own = doubled[torch.tensor([other == speaker for other in speakers])]
            nothing = torch.zeros(doubled.shape[1], dtype=torch.float64)
            count, total, squares = self._sums.get(speaker, (0, nothing, nothing))
            self._sums[speaker] = count + len(own), total + own.sum(0), squares + own.square().sum(0)

    def standardisation(self, device: torch.device) -> Standardisation:
        """Of all clips taken in, at least one; on the device.

        A speaker's location is the mean of n own clips and `SHRINKAGE` of the pool's; the variance likewise.
        """
        count = sum(clips for clips, _, _ in self._sums.values())
        mean = torch.stack([total for _, total, _ in self._sums.values()]).sum(0) / count
        squared = torch.stack([squares for _, _, squares in self._sums.values()]).sum(0) / count
        deviation = (squared - mean.square()).clamp_min(0).sqrt()
        deviation = deviation.clamp_min(FLOOR * float(deviation.mean()) + 1e-6)
        known = sorted(name for name, part in self._sums.items() if name is not None and part[0] >= FEWEST)
        locations, scales = [], []
        for name in known:
            own, total, squares = self._sums[name]
            variance = (squares / own - (total / own).square()).clamp_min(0)
            locations.append((total + SHRINKAGE * mean) / (own + SHRINKAGE))
            scales.append(((own * variance + SHRINKAGE * deviation.square()) / (own + SHRINKAGE)).sqrt())
        empty = torch.zeros(0, len(mean))
        return Standardisation(
            location=mean.float().to(device),
            scale=deviation.float().to(device),
            speakers=tuple(known),
            locations=(torch.stack(locations).float() if known else empty).to(device),
            scales=(torch.stack(scales).float() if known else empty).to(device),
        )


@dataclass(frozen=True, kw_only=True)
class Damping:
    """A symmetric map of standardised features that shrinks some orthogonal directions."""

    directions: Tensor  # (F, R), orthonormal columns; R may be 0
    factors: Tensor  # (R,) in (0, 1]

    def __call__(self, features: Tensor) -> Tensor:
        """(N, F) of (N, F)."""
        return features + ((features @ self.directions) * (self.factors - 1)) @ self.directions.T


def fit_damping(changes: Tensor) -> Damping:
    """Shrink each direction by the root of 1 + v / STEADY, v being its variance between halves.

    Args:
        changes: (M, F) half of what the clips' standardised features change from the first half to the second.
    """
    variances, directions = _leading(changes, DIRECTIONS)
    return Damping(directions=directions, factors=(1 + variances / STEADY).rsqrt())


def no_damping(width: int, device: torch.device) -> Damping:
    """Of F = `width` features, which leaves them as they are."""
    return Damping(directions=torch.zeros(width, 0, device=device), factors=torch.zeros(0, device=device))


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a pool's features are read, known before any label."""

    standardisation: Standardisation
    damping: Damping
    projection: Tensor  # (F, P) from a view to the embedding by which strategies compare clips

    def embed(self, features: Tensor, speakers: Sequence[str | None]) -> Tensor:
        """(N, P) of clips (N, F): principal components of the pool, without the voice where it is known."""
        return self.standardisation.views(features, speakers)[1] @ self.projection


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Logits from one view of a clip."""

    weight: Tensor  # (C, F)
    bias: Tensor  # (C,)

    def __call__(self, features: Tensor) -> Tensor:
        return features @ self.weight.T + self.bias

    def over(self, temperature: float) -> "Linear":
        """With logits divided by a temperature."""
        return Linear(weight=self.weight / temperature, bias=self.bias / temperature)

    def onto(self, low: Tensor, span: Tensor) -> "Linear":
        """With logits times spans (C,), plus lows (C,)."""
        return Linear(weight=self.weight * span[:, None], bias=self.bias * span + low)


@dataclass(frozen=True, kw_only=True)
class ClipHead:
    """Both views' regressions and what they standardise by."""

    standardisation: Standardisation
    stranger: Linear  # for clips of speakers that aren't known
    known: Linear  # for those of speakers that are
    projection: Tensor  # (F, P) from a view to the embedding by which strategies compare clips

    def describe(self, features: Tensor) -> Tensor:
        """(N, F) as this head reads clips, from `clip_features` (N, L, 4D)."""
        return describe(features, deviation=2 * len(self.standardisation.location) == features[0].numel())

    def logits(self, features: Tensor, speakers: Sequence[str | None]) -> Tensor:
        """(N, C) of clips (N, F), each by the view that its speaker allows."""
        plain, by_speaker = self.standardisation.views(features, speakers)
        known = torch.from_numpy(self.standardisation.knows(speakers)).to(features.device)
        return torch.where(known[:, None], self.known(by_speaker), self.stranger(plain))

    def embed(self, features: Tensor, speakers: Sequence[str | None]) -> Tensor:
        """(N, P) of clips (N, F): principal components of the pool, without the voice where it is known."""
        return self.standardisation.views(features, speakers)[1] @ self.projection

    def sampled(self, features: Tensor, speakers: Sequence[str | None], keep: Tensor) -> Tensor:
        """(N, K, C) logits under K dropout masks `keep` (K, F) of the features, the same for every clip."""
        plain, by_speaker = self.standardisation.views(features, speakers)
        known = torch.from_numpy(self.standardisation.knows(speakers)).to(features.device)
        view = torch.where(known[:, None], by_speaker, plain)  # (N, F)
        samples = []
        for linear in (self.stranger, self.known):
            weights = (keep[:, :, None] * linear.weight.T).permute(1, 0, 2).flatten(1)  # (F, K * C)
            samples.append((view @ weights).view(len(view), len(keep), -1) + linear.bias)
        return torch.where(known[:, None, None], samples[1], samples[0])

    def over(self, temperature: float) -> "ClipHead":
        """With logits divided by a temperature."""
        return replace(self, stranger=self.stranger.over(temperature), known=self.known.over(temperature))

    def onto(self, low: Tensor, span: Tensor) -> "ClipHead":
        """With logits times spans (C,), plus lows (C,)."""
        return replace(self, stranger=self.stranger.onto(low, span), known=self.known.onto(low, span))

    def to(self, device: torch.device) -> "ClipHead":
        """On another device."""
        return _from_tensors({name: tensor.to(device) for name, tensor in self._tensors().items()}, self._speakers)

    def save(self, folder: Path) -> None:
        """Write it into a folder as `FILE`."""
        tensors = {name: tensor.cpu().clone().contiguous() for name, tensor in self._tensors().items()}  # none shared
        save_file(tensors, folder / FILE, {f"speaker {row}": name for row, name in enumerate(self._speakers)})

    @property
    def _speakers(self) -> tuple[str, ...]:
        return self.standardisation.speakers

    def _tensors(self) -> dict[str, Tensor]:
        own = self.standardisation
        return {
            "location": own.location,
            "scale": own.scale,
            "locations": own.locations,
            "scales": own.scales,
            "stranger.weight": self.stranger.weight,
            "stranger.bias": self.stranger.bias,
            "known.weight": self.known.weight,
            "known.bias": self.known.bias,
            "projection": self.projection,
        }


def describe(features: Tensor, *, deviation: bool) -> Tensor:
    """(N, F) features of clips side by side, from `clip_features` (N, L, 4D), with or without the deviations."""
    width = features.shape[-1] // 4
    return features[..., : 2 * width if deviation else width].flatten(1)


def describe_changes(features: Tensor, *, deviation: bool) -> Tensor:
    """(N, F) half of what `describe` gives changes from a clip's first half to its second."""
    return describe(features.roll(-(features.shape[-1] // 2), dims=-1), deviation=deviation)


def load_clip_head(folder: Path) -> ClipHead | None:
    """What `save` wrote into a folder, on the CPU; None where the round has none.

    Raises:
        BackboneError: the file is damaged.
    """
    try:
        with safe_open(folder / FILE, "pt") as file:
            told = file.metadata() or {}
            speakers = tuple(told[f"speaker {row}"] for row in range(len(told)))
            return _from_tensors({name: file.get_tensor(name) for name in file.keys()}, speakers)  # noqa: SIM118
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError, ValueError) as error:
        raise BackboneError(
            f"{folder / FILE} can't be read ({error}). Train a round again, or restore the folder."
        ) from error


def fit_clip_head(
    features: Tensor,
    speakers: Sequence[str | None],
    labels: NDArray[np.floating],
    reading: Reading,
    schema: LabelSchema,
    *,
    c: float,
    max_class_weight: float,
) -> ClipHead:
    """Train both views.

    Args:
        features: (N, F) of labelled clips, N > 0.
        labels: (N, C), hard or soft.
        c: inverse strength of the L2 penalty, as scikit-learn's C.
    """

    def regress(view: Tensor) -> Linear:
        weight, bias = REGRESSIONS[schema.regression](
            reading.damping(view), labels, schema, c=c, max_class_weight=max_class_weight
        )
        return Linear(weight=reading.damping(weight), bias=bias)  # as the map is symmetric

    standardisation = reading.standardisation
    plain, by_speaker = standardisation.views(features, speakers)
    stranger = regress(plain)
    known = regress(by_speaker) if standardisation.speakers else stranger
    return ClipHead(standardisation=standardisation, stranger=stranger, known=known, projection=reading.projection)


def principal_components(features: Tensor, damping: Damping) -> Tensor:
    """(F, P) that takes standardised clips (M, F) to their leading directions once they are damped, P at most
    `DIMENSIONS`."""
    damped = damping(features)
    return damping(_leading(damped - damped.mean(0), DIMENSIONS)[1].T).T


def _leading(features: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Mean squares (R,) along the leading directions (F, R) of rows (M, F), R at most `most`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of the randomised decomposition
        _, sizes, directions = torch.pca_lowrank(features.cpu(), min(most, *features.shape), center=False)
    return (sizes.square() / len(features)).to(features.device), directions.to(features.device)


def _from_tensors(tensors: dict[str, Tensor], speakers: tuple[str, ...]) -> ClipHead:
    return ClipHead(
        standardisation=Standardisation(
            location=tensors["location"],
            scale=tensors["scale"],
            speakers=speakers,
            locations=tensors["locations"],
            scales=tensors["scales"],
        ),
        stranger=Linear(weight=tensors["stranger.weight"], bias=tensors["stranger.bias"]),
        known=Linear(weight=tensors["known.weight"], bias=tensors["known.bias"]),
        projection=tensors["projection"],
    )
