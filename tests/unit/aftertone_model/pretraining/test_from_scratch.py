"""Pre-training from scratch: a small model on glides, with and without a teacher, killed and resumed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.config import FROM_SCRATCH
from aftertone_model.errors import BackboneError
from aftertone_model.pretraining.from_scratch import pretrain
from aftertone_model.pretraining.record import read_adaptation
from tests.backbones import small
from tests.unit.aftertone_model.pretraining.test_byol_s import byol_weights

QUICK = replace(FROM_SCRATCH, batch_seconds=4.0, passes=6.0, validations=3, mask_span=1, learning_rate=3e-3)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    names = []
    for number in range(16):
        hertz = np.interp(np.arange(16_000), np.linspace(0, 16_000, 5), rng.uniform(100, 3_000, 5))
        names.append(f"{number}.wav")
        soundfile.write(tmp_path / names[-1], 0.5 * np.sin(2 * np.pi * np.cumsum(hertz) / 16_000), 16_000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    path = tmp_path / "manifest.csv"
    path.write_text("\n".join(["path", *names, "broken.wav"]) + "\n")
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    shape = small(
        conv_dim=(32, 32),
        conv_kernel=(320, 4),
        conv_stride=(160, 4),
        conv_bias=True,
        num_hidden_layers=2,
        num_conv_pos_embeddings=8,
        num_codevectors_per_group=16,
    ).config
    path = tmp_path / "config.json"
    shape.to_json_file(path)
    return path


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    path = tmp_path / "teacher.pth"
    torch.save(byol_weights(), path)
    return path


def test_learns_from_a_teacher_and_the_cnn_learns_too(
    tmp_path: Path, manifest: Path, config: Path, teacher: Path
) -> None:
    out = tmp_path / "model"
    record = pretrain(manifest, out, work=tmp_path / "work", config=config, teachers=[str(teacher)], pretraining=QUICK)
    start, *_, end = record.curve
    assert end.losses["distillation"] < 0.95 * start.losses["distillation"]
    assert record.kept
    assert "distillation loss" in record.reason
    assert record.clips == 16  # the broken one is left out
    again = pretrain(manifest, out, work=tmp_path / "work", config=config, teachers=[str(teacher)], pretraining=QUICK)
    assert again == record == read_adaptation(out)
    assert load_backbone(str(out)).model.dtype == torch.float32
    assert json.loads((out / "config.json").read_text())["dtype"] == "float16"

    alone = tmp_path / "alone"
    pretrain(manifest, alone, work=tmp_path / "other", config=config, pretraining=replace(QUICK, passes=1.0))
    cnn = "wav2vec2.feature_extractor.conv_layers.0.conv.weight"
    assert not torch.equal(
        load_backbone(str(out)).model.state_dict()[cnn], load_backbone(str(alone)).model.state_dict()[cnn]
    )


def test_an_interrupted_run_goes_on_to_the_same_weights(
    tmp_path: Path, manifest: Path, config: Path, teacher: Path
) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "adapt" and done > total / 2:
            raise Interrupted

    run = {"config": config, "teachers": [str(teacher)], "pretraining": QUICK, "speeds": (1.0, 1.25)}
    with pytest.raises(Interrupted):
        pretrain(manifest, tmp_path / "a", work=tmp_path / "one", progress=interrupt, **run)
    assert not (tmp_path / "a").exists()
    stages: list[str] = []
    pretrain(manifest, tmp_path / "a", work=tmp_path / "one", progress=lambda s, d, n: stages.append(s), **run)
    assert "decode" not in stages
    record = pretrain(manifest, tmp_path / "b", work=tmp_path / "two", **run)
    assert record.clips == 32  # each at both speeds
    resumed, whole = (load_backbone(str(tmp_path / name)).model.state_dict() for name in "ab")
    for name, weight in whole.items():
        torch.testing.assert_close(resumed[name], weight, atol=2e-3, rtol=1e-2, msg=name)


def test_a_config_that_is_none_is_refused_in_words(tmp_path: Path, manifest: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("[]")
    for path in (wrong, tmp_path / "absent.json"):
        with pytest.raises(BackboneError, match=r"no config\.json of a wav2vec 2\.0"):
            pretrain(manifest, tmp_path / "model", work=tmp_path / "work", config=path)
