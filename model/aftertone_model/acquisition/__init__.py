"""Acquisition: which unlabelled clips to ask for next. One contract, one registry, one file per idea."""

from aftertone_model.acquisition.inputs import Inputs, Labelled, Requires
from aftertone_model.acquisition.registry import STRATEGIES, default_strategy, find_strategy, suitable
from aftertone_model.acquisition.strategy import Ranked, Strategy
from aftertone_model.errors import StrategyError

__all__ = [
    "STRATEGIES",
    "Inputs",
    "Labelled",
    "Ranked",
    "Requires",
    "Strategy",
    "StrategyError",
    "default_strategy",
    "find_strategy",
    "suitable",
]
