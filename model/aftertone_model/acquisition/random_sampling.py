"""Random sampling: the baseline that every other strategy has to beat."""

import numpy as np

from aftertone_model.acquisition.inputs import Inputs
from aftertone_model.acquisition.strategy import Ranked


def rank_by_chance(inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
    """Uniformly at random, without replacement. Scores are the uniform draws, 0..1."""
    return Ranked.by_score(rng.random(inputs.candidates), k)
