"""What is checked when a round's model is read."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from aftertone_model.classification.clip_head import FILE
from aftertone_model.classification.model import load_model
from aftertone_model.errors import BackboneError
from aftertone_model.labels import SingleChoice
from aftertone_model.learner import Learner
from aftertone_model.runtime import Runtime


def test_a_head_that_an_earlier_version_wrote_is_named(extracted, backbone, tmp_path) -> None:
    pool, clips, labels = extracted
    schema = SingleChoice(classes=("low", "middle", "high"))
    model = Learner(backbone, schema, Runtime(pool=pool)).judge({clip.id: labels[clip.id] for clip in clips}, clips)
    model.save(tmp_path)
    assert load_model(tmp_path).head is not None
    tensors = load_file(tmp_path / FILE)
    save_file({**tensors, "location": torch.zeros(len(tensors["location"]) - 64)}, tmp_path / FILE)
    with pytest.raises(BackboneError, match="an earlier one wrote it"):
        load_model(tmp_path)
