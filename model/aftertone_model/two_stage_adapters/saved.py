"""A stage's model on disk: `weights.safetensors` and `model.json`, and the transformer beside them where it learned.

A stage that trained adapters keeps these and its heads, some megabytes; its backbone is the one that it was trained
above, which is kept once: by stage 1 in the folder `backbone`, which transformers loads too.
"""

from dataclasses import asdict
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.backbones.digest import digest
from aftertone_model.data.files import read_json, whole_folder, write_json
from aftertone_model.errors import BackboneError
from aftertone_model.labels import schema_of
from aftertone_model.two_stage_adapters.adapters import insert_adapters
from aftertone_model.two_stage_adapters.config import AdapterConfig
from aftertone_model.two_stage_adapters.model import Heads, HeadShape, MultiTaskModel
from aftertone_model.two_stage_adapters.transcripts import Vocabulary

WEIGHTS, RECORD, BACKBONE = "weights.safetensors", "model.json", "backbone"


def save(model: MultiTaskModel, folder: Path) -> None:
    """Write a folder, whole or not at all; one that is there already is replaced."""
    record = {
        "base": model.adapters.base if model.adapters else None,
        "kind": model.schema.kind,
        "classes": list(model.schema.classes),
        "heads": asdict(model.heads.shape),
        "adapters": asdict(model.adapters.config) if model.adapters else None,
        "characters": model.vocabulary.characters if model.vocabulary else None,
    }
    with whole_folder(folder) as scratch:
        write_json(scratch / RECORD, record)
        save_file({name: weights.contiguous() for name, weights in _kept(model).items()}, scratch / WEIGHTS)
        if model.adapters is None:
            model.backbone.save(scratch / BACKBONE)


def load(folder: Path, backbone: Backbone | None = None) -> MultiTaskModel:
    """Read what `save` wrote, on the CPU.

    Args:
        backbone: that the adapters were trained above, on the CPU; not changed. A folder may have its own instead.

    Raises:
        BackboneError: the folder is missing, damaged, or its adapters belong to another backbone.
    """
    try:
        record = read_json(folder / RECORD)
        weights = load_file(folder / WEIGHTS)
        if record is None:
            raise ValueError(f"there is no {RECORD}")
        schema = schema_of(record["kind"], record["classes"])
        heads = Heads(TypeAdapter(HeadShape).validate_python(record["heads"]))
        config = record["adapters"] and TypeAdapter(AdapterConfig).validate_python(record["adapters"])
        characters = record["characters"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, ValidationError) as error:
        raise _unreadable(folder, error) from error
    if config is None:
        body = load_backbone(str(folder / BACKBONE))
    elif backbone is None or digest(backbone.body.state_dict()) != record["base"]:
        raise BackboneError(
            f"The adapters in {folder} were trained above another backbone. Give the one that stage 1 left, or train "
            "again."
        )
    else:
        body = backbone.copy()
    model = MultiTaskModel(
        backbone=body,
        adapters=insert_adapters(body, config, 0) if config else None,
        heads=heads.eval(),
        schema=schema,
        vocabulary=None if characters is None else Vocabulary(characters),
    )
    kept = _kept(model)
    if {name: tensor.shape for name, tensor in weights.items()} != {
        name: tensor.shape for name, tensor in kept.items()
    }:
        raise _unreadable(folder, ValueError("the weights aren't those of its record"))
    with torch.no_grad():
        for name, tensor in kept.items():
            tensor.copy_(weights[name])
    body.model.eval()
    return model


def _kept(model: MultiTaskModel) -> dict[str, Tensor]:
    """The heads' weights and the adapters', by name; they share memory with the model's."""
    found = {f"heads.{name}": weights for name, weights in model.heads.state_dict().items()}
    if model.adapters is not None:
        found |= {f"adapters.{name}": weights for name, weights in model.adapters.state_dict().items()}
    return found


def _unreadable(folder: Path, error: Exception) -> BackboneError:
    why = (str(error) or type(error).__name__).splitlines()[0]
    return BackboneError(f"{folder} holds no model of two-stage adapters ({why}). Train the stage again.")
