"""The same picks on the same inputs and seed as ever: golden.json was written before the code was moved.

Since then ALPS under `practical` asks for other clips: its masks follow the span of the backbone's TAPT.
"""

import json

import pytest

from tests.unit.aftertone_model.golden import BACKBONES, FILE, play


@pytest.fixture(scope="module", params=BACKBONES)
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict]:
    """What one backbone gives today, and what it gave."""
    golden = json.loads(FILE.read_text(encoding="utf-8"))
    return play(request.param, tmp_path_factory.mktemp("golden")), golden[request.param]


def test_tapt_goes_the_same_way(played):
    (found, expected) = (one["tapt"] for one in played)
    assert (found["steps"], found["kept"]) == (expected["steps"], expected["kept"])
    for point, before in zip(found["curve"], expected["curve"], strict=True):
        assert point == pytest.approx(before, rel=1e-3)


def test_the_same_seed_sets(played):
    assert played[0]["seeds"] == played[1]["seeds"]


@pytest.mark.parametrize("preset", ["practical", "paper"])
@pytest.mark.parametrize("number", [0, 1])
def test_the_same_training_and_the_same_picks_of_each_strategy(played, preset, number):
    found, expected = (one[preset][number] for one in played)
    assert found.pop("loss") == pytest.approx(expected.pop("loss"), rel=1e-2)
    found["picks"] = {name: found["picks"][name] for name in expected["picks"]}  # a new strategy has no past
    assert found == expected
