"""Export: a folder that `transformers.pipeline("audio-classification")` loads, with the clip head and a model card."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from aftertone_model.backbones.preprocessing import feature_extractor
from aftertone_model.classification.clip_head import FILE, ClipHead
from aftertone_model.classification.model import EmotionModel
from aftertone_model.export.exported import Exported
from aftertone_model.export.model_card import Provenance, model_card

READER = Path(__file__).with_name("emotions.py")


def export(model: EmotionModel | Exported, folder: Path, provenance: Provenance) -> None:
    """Write a model into `folder`, made if it is missing.

    It gets weights (safetensors, float32), config.json, preprocessor_config.json and README.md, the model card.
    `pipeline("audio-classification", model=folder)` takes samples at any rate; of ratings it gives the units of
    their scales. Where the model has a clip head, there are also clip_head.safetensors and emotions.py, which judges
    clips as Aftertone does and needs nothing of ours. A method's own head, and head.py, stand in place of a clip head.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(model, EmotionModel):
        model = model.in_units()
    model.classifier.save_pretrained(folder)
    feature_extractor(model.classifier.config).save_pretrained(folder)
    if isinstance(model, Exported):
        model.write_head(folder)
    elif model.head is not None:
        save_file(_for_everyone(model.head), folder / FILE)
    if isinstance(model, Exported) or model.head is not None:
        shutil.copyfile(READER, folder / READER.name)
    (folder / "README.md").write_text(model_card(model, provenance), encoding="utf-8")


def _for_everyone(head: ClipHead) -> dict[str, torch.Tensor]:
    """What judges new clips, by name. Of the pool's speakers it has neither names nor what their voices are like.

    Where no speaker of the pool was known, there is no regression for voices that are.
    """
    tensors = {
        "location": head.standardisation.location,
        "scale": head.standardisation.scale,
        "stranger.weight": head.stranger.weight,
        "stranger.bias": head.stranger.bias,
    }
    if head.standardisation.speakers:
        tensors |= {"known.weight": head.known.weight, "known.bias": head.known.bias}
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
