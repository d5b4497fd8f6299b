"""A BACKBONE that is changed while a project runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aftertone.store.records import Problem, Warnings
from aftertone_model.classification.classifier import load_classifier
from tests.backbones import of_class
from tests.unit.aftertone.loops import MemoryLoop

MakeLoop = Callable[..., MemoryLoop]


def test_a_changed_backbone_is_adapted_anew_and_used_from_the_next_round_on(
    make_loop: MakeLoop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    loop = make_loop(24)
    loop.advance()
    loop.label(6)
    loop.advance()
    before, first = loop.store.adaptation(), loop.settings.backbone
    assert before is not None
    assert before.backbone == first
    assert loop.last.training is not None
    assert loop.last.training.backbone == first

    loop.settings = loop.settings.model_copy(update={"backbone": str(tmp_path / "none")})
    loop.advance()
    assert "There is no folder" in loop.problem
    assert loop.store.adaptation() == before  # stays until another one is whole
    assert any(found.key == "another-backbone" for found in loop.store.get(Warnings).findings)
    assert loop.store.current == 1

    other = of_class("hubert")
    other.save(tmp_path / "hubert")
    loop.settings = loop.settings.model_copy(update={"backbone": str(tmp_path / "hubert")})
    loop.store.remove(Problem)
    loop.advance()
    loop.check_queue()
    after = loop.store.adaptation()
    assert after is not None
    assert after.backbone == str(tmp_path / "hubert")
    assert f"BACKBONE is {tmp_path / 'hubert'} now, and was {first}" in caplog.text
    assert loop.store.get(Warnings).findings == () or not after.kept
    loop.label(6)
    loop.advance()
    loop.check_queue()
    with loop.store.round_model() as (number, folder):
        assert (number, load_classifier(folder).config.model_type) == (2, "hubert")
    assert loop.last.training is not None
    assert loop.last.training.backbone == after.backbone
