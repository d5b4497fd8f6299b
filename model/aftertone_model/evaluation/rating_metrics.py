"""How good a regression of ratings is on clips that it never saw: CCC and mean absolute error, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aftertone_model.evaluation.bootstrap import Basis, scope, units_of
from aftertone_model.evaluation.concordance import concordance, moments
from aftertone_model.evaluation.estimate import Estimate, estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class RatingMetrics:
    """What a test set says about a regression."""

    dimensions: tuple[str, ...]  # D names, in the order of every figure below
    clips: int  # rated test clips, > 0
    rated: tuple[int, ...]  # test clips with a rating in each dimension
    ccc: Estimate  # mean concordance correlation coefficient over the dimensions that are rated, in [-1, 1]
    each_ccc: tuple[Estimate | None, ...]  # of each dimension; None where no test clip is rated
    mae: tuple[Estimate | None, ...]  # mean absolute error of each, in its scale's units
    basis: Basis  # what intervals were made from; by "clips" they say nothing about new speakers
    speakers: int | None  # voices tested; None where not all are known

    @property
    def scope(self) -> str:
        """For whom the intervals hold, for people."""
        return scope(self.basis, self.speakers)

    @property
    def summary(self) -> str:
        """The main figures, for people."""
        each = zip(self.dimensions, self.mae, strict=True)
        errors = [f"{name} {error.value:.3g}" for name, error in each if error is not None]
        return f"CCC {self.ccc.written(3)}, mean error {', '.join(errors)}"


def measure_ratings(
    truth: NDArray[np.floating],
    guesses: NDArray[np.floating],
    dimensions: Sequence[str],
    spans: Sequence[float],
    *,
    speakers: Sequence[str | None] | None = None,
    seed: int = 0,
    files: Sequence[str] | None = None,
) -> RatingMetrics:
    """Every metric on one test set; intervals are made as those of `metrics.measure` are.

    Args:
        truth: (N, D) in [0, 1], NaN where nobody rated; N > 0, each clip rated in some dimension.
        guesses: (N, D) in [0, 1].
        dimensions: D names.
        spans: (D,) lengths of the scales, which bring errors back to their units.
        speakers: (N,) who speaks, where known.
        files: (N,) what each clip is a segment of; None where they are files.

    Raises:
        ValueError: no clips, or shapes that don't fit.
    """
    if len(truth) == 0:
        raise ValueError("a test set without clips can't be measured")
    if not truth.shape == guesses.shape == (len(truth), len(dimensions)):
        raise ValueError(f"{len(dimensions)} dimensions, but ratings {truth.shape} and predictions {guesses.shape}")
    units = units_of(speakers, len(truth), files)
    table = moments(truth, guesses)  # (N, D, 6)
    missing = np.where(np.isnan(truth), 0.0, np.abs(guesses - truth)) * np.asarray(spans)  # (N, D)
    sums, errors = table.sum(axis=0), missing.sum(axis=0)
    draws = units.draws(seed)  # (R, U)
    drawn = np.einsum("ru,udm->rdm", draws, units.summed(table))  # (R, D, 6)
    drawn_errors = draws @ units.summed(missing)  # (R, D)
    rated, ccc, cccs = sums[:, 0], concordance(sums), concordance(drawn)
    present = np.flatnonzero(rated)

    def only(estimates: Sequence[Estimate]) -> tuple[Estimate | None, ...]:
        return tuple(one if rated[column] else None for column, one in enumerate(estimates))

    return RatingMetrics(
        dimensions=tuple(dimensions),
        clips=len(truth),
        rated=tuple(int(count) for count in rated),
        ccc=estimate(
            float(ccc[present].mean()), cccs[:, present].mean(axis=1), units, least=-1, most=1, clips=len(truth)
        ),
        each_ccc=only(
            [
                estimate(float(ccc[d]), cccs[:, d], units, least=-1, most=1, clips=int(rated[d]))
                for d in range(len(dimensions))
            ]
        ),
        mae=only(
            [
                estimate(
                    float(errors[d] / max(rated[d], 1)),
                    drawn_errors[:, d] / np.maximum(drawn[:, d, 0], 1),
                    units,
                    least=0,
                    most=span,
                    clips=int(rated[d]),
                )
                for d, span in enumerate(spans)
            ]
        ),
        basis=units.basis,
        speakers=units.speakers,
    )
