"""What is said of a backbone before it is loaded agrees with what loading says."""

import json
from pathlib import Path

import pytest

from aftertone_model.backbone_names import MINI, MODEL_TYPES, TINY, check_backbone
from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.backbones.families import FAMILIES
from aftertone_model.errors import BackboneError
from tests import backbones


def test_it_names_the_families_that_there_are() -> None:
    assert set(FAMILIES) == set(MODEL_TYPES)


def test_what_can_be_loaded_or_downloaded_is_taken(tmp_path: Path) -> None:
    for name in (MINI, TINY, "facebook/wav2vec2-base", "wav2vec2-base", str(backbones.nano(tmp_path / "nano"))):
        check_backbone(name)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "holds no config.json"),
        ("{", "can't be read or names no model_type"),
        ("[]", "can't be read or names no model_type"),
        ("{}", "can't be read or names no model_type"),
        (json.dumps({"model_type": "whisper"}), "A whisper model can't be a backbone; Aftertone takes wav2vec2, "),
    ],
)
def test_a_folder_that_can_not_be_loaded_is_refused(tmp_path: Path, config: str | None, said: str) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(BackboneError, match=said):
        check_backbone(str(tmp_path))
    with pytest.raises((BackboneError, TypeError)):
        load_backbone(str(tmp_path))


@pytest.mark.parametrize("name", ["/nope", "./nope", "~/no such folder", "~nobody/x", "models/of/mine", "models/"])
def test_a_folder_that_is_not_there_is_refused_at_once(name: str) -> None:
    for refuse in (check_backbone, load_backbone):
        with pytest.raises(BackboneError, match="There is no folder"):
            refuse(name)
