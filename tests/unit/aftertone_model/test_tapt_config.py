"""TAPT settings by name, or by what differs."""

import pytest

from aftertone_model.config import TAPT_PROFILES, tapt_config

BRIEF = TAPT_PROFILES["brief"]


def test_a_profile_or_changes_to_what_would_be_taken_anyway() -> None:
    assert tapt_config("", BRIEF) == BRIEF
    assert tapt_config("standard", BRIEF) == TAPT_PROFILES["standard"]
    changed = tapt_config('{"mask_ratio": 0.5}', BRIEF)
    assert (changed.mask_ratio, changed.mask_span, changed.learning_rate) == (0.5, 3, 3e-4)


@pytest.mark.parametrize("wanted", ["swift", "[]", '{"mask_ratio": 7}', '{"masks": 1}'])
def test_nonsense_is_refused(wanted: str) -> None:
    with pytest.raises(ValueError, match=r"must be one of|mask"):
        tapt_config(wanted, BRIEF)
