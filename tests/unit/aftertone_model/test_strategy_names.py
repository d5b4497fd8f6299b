"""The light table of names says what the registry says."""

import pytest

from aftertone_model.acquisition import STRATEGIES, StrategyError, suitable
from aftertone_model.strategy_names import EXCLUSIVE_ONLY, NAMES, OF_RATINGS, RATINGS_ONLY, check_strategy


def test_it_names_what_the_registry_has() -> None:
    assert list(STRATEGIES) == list(NAMES)
    assert {name for name, strategy in STRATEGIES.items() if strategy.exclusive_only} == set(EXCLUSIVE_ONLY)
    assert suitable("ratings") == OF_RATINGS
    assert set(NAMES) - set(suitable("probabilities")) == set(RATINGS_ONLY)


def test_a_name_that_is_unknown_or_does_not_fit_is_told_others() -> None:
    for name in suitable("probabilities"):
        check_strategy(name, exclusive=True)
    for name in OF_RATINGS:
        check_strategy(name, exclusive=False, predicts="ratings")
    with pytest.raises(StrategyError, match="'igs' can't rank by probabilities"):
        check_strategy("igs", exclusive=True)
    with pytest.raises(StrategyError, match=r"'margin' can't rank by ratings\. Set one of: random, alps, .*igs\."):
        check_strategy("margin", exclusive=False, predicts="ratings")
    with pytest.raises(StrategyError, match="Set one of: random"):
        check_strategy("foo", exclusive=True)
    with pytest.raises(StrategyError, match="set one of: random") as error:
        check_strategy("batchbald", exclusive=False)
    assert "batchbald" not in str(error.value).split("set one of")[1]
