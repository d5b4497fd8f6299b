from pathlib import Path

from aftertone_model.acquisition import STRATEGIES, Requires
from aftertone_model.acquisition.seeding import SEEDINGS
from aftertone_model.acquisition.strategies_docs import REQUIRES, guide

PAGE = Path(__file__).parents[4] / "docs" / "strategies.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == guide(), (
        "run: python -m aftertone_model.acquisition.strategies_docs > docs/strategies.md"
    )


def test_everything_is_explained() -> None:
    assert set(REQUIRES) == set(Requires)
    for name, strategy in STRATEGIES.items():
        assert f"## {name}\n\n{strategy.description}" in guide()
        assert strategy.cost in guide()
        assert strategy.source in guide()
    for name in SEEDINGS:
        assert f"- `{name}`: " in guide()
