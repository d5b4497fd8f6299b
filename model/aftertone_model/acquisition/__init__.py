"""Acquisition: which unlabelled clips to ask for next. One contract, one registry, one file per idea."""

from aftertone_model.acquisition.inputs import Inputs, Labelled, Requires
from aftertone_model.acquisition.registry import STRATEGIES, find_strategy
from aftertone_model.acquisition.strategy import Ranked, Strategy
from aftertone_model.errors import StrategyError

__all__ = ["STRATEGIES", "Inputs", "Labelled", "Ranked", "Requires", "Strategy", "StrategyError", "find_strategy"]
