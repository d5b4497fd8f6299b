"""Teachers other than BYOL-S: what prosody says of tones, Smart Turn's windows, and how sources are named."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from aftertone_model.errors import TeacherError
from aftertone_model.pretraining.teachers.prosody import HOP, Prosody
from aftertone_model.pretraining.teachers.registry import load_teachers
from aftertone_model.pretraining.teachers.smart_turn import LAYERS, WINDOW, SmartTurn


def tone(hertz: float, seconds: float = 1.0, level: float = 0.3) -> np.ndarray:
    time = np.arange(int(16_000 * seconds)) / 16_000
    harmonics = np.array([np.sin(2 * np.pi * hertz * number * time) / number for number in range(1, 6)])
    return (level * harmonics.sum(axis=0)).astype(np.float32)


@pytest.fixture
def smart_turn(tmp_path: Path) -> Path:
    """A graph of Smart Turn's form, whose inner layers are the means of two neighbouring mel frames."""
    pool = helper.make_node("AveragePool", ["input_features"], ["pooled"], kernel_shape=[2], strides=[2])
    nodes = [pool]
    nodes += [helper.make_node("Transpose", ["pooled"], [layer], perm=[0, 2, 1]) for layer in LAYERS]
    nodes.append(helper.make_node("ReduceMean", [LAYERS[-1]], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "turn",
        [helper.make_tensor_value_info("input_features", TensorProto.FLOAT, ["batch", 80, 800])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
    )
    path = tmp_path / "turn.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_prosody_hears_pitch_voicing_and_energy() -> None:
    low, high = (Prosody().embed(tone(hertz)).astype(np.float64) for hertz in (120, 240))
    assert low.shape == (25, 5)
    middle = slice(5, 20)
    assert np.exp(low[middle, 0]) == pytest.approx(np.full(15, 120), rel=0.02)
    assert (high[middle, 0] - low[middle, 0]) == pytest.approx(np.full(15, np.log(2)), abs=0.02)
    assert (low[middle, 2] > 0.9).all()
    rising = Prosody().embed(tone(150) * np.linspace(0.01, 1, 16_000, dtype=np.float32))
    assert (rising[middle, 4] > 0).all()


def test_prosody_of_noise_silence_and_a_click_is_finite() -> None:
    noise = np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    for waveform in (noise, np.zeros(8_000, np.float32), np.zeros(3, np.float32)):
        found = Prosody().embed(waveform)
        assert len(found) == max(len(waveform) // HOP, 1)
        assert np.isfinite(found).all()


def test_smart_turn_gives_a_clips_own_frames_whatever_its_length(smart_turn: Path) -> None:
    teacher = SmartTurn(smart_turn)
    rng = np.random.default_rng(0)
    for samples in (HOP - 1, 16_000, WINDOW - 1, WINDOW, WINDOW + HOP - 1, 2 * WINDOW + 5 * HOP):
        found = teacher.embed(rng.normal(size=samples).astype(np.float32))
        pieces = [min(WINDOW, samples - start) for start in range(0, samples, WINDOW)]
        assert len(found) == max(sum(piece // HOP for piece in pieces), 1)
        assert found.dtype == np.float16
    silence_then_tone = np.concatenate([np.zeros(8_000, np.float32), tone(200)])
    energy = teacher.embed(silence_then_tone).astype(np.float64).mean(axis=1)
    assert energy[:10].max() < energy[15:].min()


def test_teachers_are_named_by_their_files(smart_turn: Path) -> None:
    assert [teacher.name for teacher in load_teachers([str(smart_turn), "prosody"])] == ["smart-turn", "prosody"]
    for sources, reason in (
        (["prosody", "prosody"], "one kind"),
        (["pitch"], "no teacher"),
        (["nowhere.onnx"], "There is no"),
        ([__file__.replace(".py", ".onnx")], "There is no"),
    ):
        with pytest.raises(TeacherError, match=reason):
            load_teachers(sources)
    smart_turn.write_bytes(b"no graph")
    with pytest.raises(TeacherError, match="no Smart Turn graph"):
        load_teachers([str(smart_turn)])
