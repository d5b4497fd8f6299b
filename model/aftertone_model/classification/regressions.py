"""What the clip head learns by: a logistic regression of classes, a ridge regression of ratings."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aftertone_model.labels import LabelSchema

STEPS = 200  # of L-BFGS, at most
PENALTIES = np.logspace(0, 6, 13)  # of the ridge regression, one of which is chosen by leaving clips out
FEWEST = 3  # ratings in a dimension that a regression is fitted to; with fewer their mean is the answer
MIDDLE = 0.5  # of a scale: the answer in a dimension that nobody rated


class Regress(Protocol):
    """A regression of labels (N, C) on features (N, F), N > 0."""

    def __call__(
        self, features: Tensor, labels: NDArray[np.floating], schema: LabelSchema, *, c: float, max_class_weight: float
    ) -> tuple[Tensor, Tensor]:
        """Weights (C, F) and biases (C,), on the features' device.

        Args:
            c: inverse strength of the L2 penalty, as scikit-learn's C; a ridge regression chooses its own.
            max_class_weight: of rare classes.
        """
        ...


def logistic(
    features: Tensor, labels: NDArray[np.floating], schema: LabelSchema, *, c: float, max_class_weight: float
) -> tuple[Tensor, Tensor]:
    """The minimum of the schema's loss plus |W|² / (2 c N), which is unique, from zero."""
    targets = torch.from_numpy(labels.astype(np.float32)).to(features.device)
    class_weights = torch.from_numpy(schema.class_weights(labels, max_class_weight)).to(features.device)
    weight = torch.zeros(targets.shape[1], features.shape[1], device=features.device, requires_grad=True)
    bias = torch.zeros(targets.shape[1], device=features.device, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=STEPS, tolerance_grad=1e-6, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = schema.loss(features @ weight.T + bias, targets, class_weights)
        loss = loss + weight.square().sum() / (2 * c * len(features))
        loss.backward()
        return loss

    optimizer.step(closure)
    return weight.detach(), bias.detach()


def ridge(
    features: Tensor, labels: NDArray[np.floating], schema: LabelSchema, *, c: float, max_class_weight: float
) -> tuple[Tensor, Tensor]:
    """Least squares in each dimension, on the clips rated in it, with an L2 penalty chosen by leave-one-out errors."""
    from sklearn.linear_model import RidgeCV

    del schema, c, max_class_weight
    known = features.double().cpu().numpy()  # (N, F)
    weight, bias = np.zeros((labels.shape[1], known.shape[1])), np.full(labels.shape[1], MIDDLE)
    for column, ratings in enumerate(labels.T):
        rated = ~np.isnan(ratings)
        if rated.sum() >= FEWEST:
            fitted = RidgeCV(PENALTIES).fit(known[rated], ratings[rated])
            weight[column], bias[column] = fitted.coef_, fitted.intercept_
        elif rated.any():
            bias[column] = ratings[rated].mean()
    return (
        torch.from_numpy(weight.astype(np.float32)).to(features.device),
        torch.from_numpy(bias.astype(np.float32)).to(features.device),
    )


REGRESSIONS: dict[str, Regress] = {"logistic": logistic, "ridge": ridge}
"""By `LabelSchema.regression`."""
