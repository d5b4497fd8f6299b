"""Acquisition: which unlabelled clips to ask for next. One contract, one registry, one file per idea."""

from model.acquisition.evidence import Evidence, Need
from model.acquisition.registry import STRATEGIES, StrategyError, find_strategy
from model.acquisition.strategy import Ranked, Strategy

__all__ = ["STRATEGIES", "Evidence", "Need", "Ranked", "Strategy", "StrategyError", "find_strategy"]
