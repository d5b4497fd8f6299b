from pathlib import Path

from backend.guide import guide

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_of_settings_is_up_to_date() -> None:
    assert PAGE.read_text() == guide(), "run: python -m backend.guide > docs/settings.md"
