"""Stage 2 as an export has it: what `exported_head.py` adds to stage 1's transformer, and needs nothing of ours for."""

import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from aftertone_model.classification.lora import LowRank
from aftertone_model.two_stage_adapters.model import MultiTaskModel, TaskFeature

FILE = "two_stage_head.safetensors"
JUDGE = Path(__file__).with_name("exported_head.py")


def write_head(model: MultiTaskModel, temperature: float, folder: Path) -> None:
    """Write stage 2's adapters and heads, and the module that judges with them.

    Args:
        temperature: that the logits are divided by.
    """
    assert model.adapters is not None
    found: dict[str, Tensor] = {}
    for number, layer in enumerate(model.adapters.layers):
        for name, part in _parts(layer):
            place = f"layers.{number}.{name}"
            found |= _named(part, place) if name == "bottleneck" else _low_rank(part, place)
    for number, task in enumerate((model.heads.emotion, *model.heads.attributes)):
        assert isinstance(task, TaskFeature)
        found |= _named(task.projector, f"tasks.{number}.projector")
        if task.bottleneck is not None:
            found |= _named(task.bottleneck, f"tasks.{number}.bottleneck")
    found["classifier.weight"] = model.heads.classifier.weight / temperature
    found["classifier.bias"] = model.heads.classifier.bias / temperature
    save_file({name: weight.detach().cpu().clone().contiguous() for name, weight in found.items()}, folder / FILE)
    shutil.copyfile(JUDGE, folder / "head.py")


def _parts(layer: Any) -> list[tuple[str, Any]]:
    return list(layer.items())


def _named(module: nn.Module, place: str) -> dict[str, Tensor]:
    return {f"{place}.{name}": weight for name, weight in module.state_dict().items()}


def _low_rank(update: Any, place: str) -> dict[str, Tensor]:
    """LoRA's A (R, D) and B (E, R), however it stands in the model."""
    a, b = (
        (update.lora_a, update.lora_b)
        if isinstance(update, LowRank)
        else (update["lora_a"].weight, update["lora_b"].weight)
    )
    return {f"{place}.a": a, f"{place}.b": b}
