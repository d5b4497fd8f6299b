from pathlib import Path

from model.acquisition import STRATEGIES, Need
from model.acquisition.guide import NEEDS, guide
from model.seeding import SEEDINGS

PAGE = Path(__file__).parents[4] / "docs" / "strategies.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == guide(), "run: python -m model.acquisition.guide > docs/strategies.md"


def test_everything_is_explained() -> None:
    assert set(NEEDS) == set(Need)
    for name, strategy in STRATEGIES.items():
        assert f"## {name}\n\n{strategy.description}" in guide()
        assert strategy.cost in guide()
        assert strategy.source in guide()
    for name in SEEDINGS:
        assert f"- `{name}`: " in guide()
