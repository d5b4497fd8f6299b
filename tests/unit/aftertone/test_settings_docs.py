from pathlib import Path

from aftertone.settings_docs import guide

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_of_settings_is_up_to_date() -> None:
    assert PAGE.read_text() == guide(), "run: python -m aftertone.settings_docs > docs/settings.md"
