from pathlib import Path

from aftertone.doctor.page import guide
from aftertone.doctor.refusals import REFUSALS
from aftertone.doctor.registry import CHECKS

PAGE = Path(__file__).parents[4] / "docs" / "troubleshooting.md"


def test_the_page_of_troubles_is_up_to_date() -> None:
    assert PAGE.read_text() == guide(), "run: python -m aftertone.doctor.page > docs/troubleshooting.md"


def test_each_check_says_what_why_and_how() -> None:
    for key, check in CHECKS.items():
        assert f"`{key}`" in guide()
        for said in (check.title, check.why, check.cure):
            assert said in guide()
            assert "|" not in said


def test_label_studios_own_words_stand_beside_their_cures() -> None:
    for text in ("reserved network address", "Can't connect to ML backend", "valid ML backend", "legacy token"):
        assert any(text in row.text for row in REFUSALS)
    assert all(f"`{row.text}` | {row.cure}" in guide() for row in REFUSALS)
