"""The self-supervised speech model that everything starts from: loading, copying and saving it."""

import copy
import logging
from pathlib import Path
from typing import Any, Self

import torch
from transformers import AutoConfig, PreTrainedModel

from aftertone_model.backbone_names import MINI, TINY, home_of, looks_like_a_folder, no_folder
from aftertone_model.backbones.encoder import Encoder
from aftertone_model.backbones.families import family_of
from aftertone_model.backbones.mini import FOLDER
from aftertone_model.backbones.preprocessing import feature_extractor, read_preprocessing
from aftertone_model.backbones.tiny import tiny_model
from aftertone_model.errors import BackboneError

log = logging.getLogger(__name__)

QUANTISER = ("quantizer.", "project_hid.", "project_q.")  # of wav2vec 2.0; absent where a checkpoint was fine-tuned
OPTIONAL = (*QUANTISER, "masked_spec_embed")


class Backbone(Encoder):
    """A model with what its family's pre-training goes on with, such as wav2vec 2.0's quantiser."""

    def __init__(self, model: PreTrainedModel, *, name: str = "", random_codes: bool = False) -> None:
        """
        Args:
            model: a `Family.pretraining`.
            name: for messages, as the setting BACKBONE has it.
            random_codes: the quantiser is freshly drawn, so that pre-training fits it to the frames first.
        """
        super().__init__(model)
        self.name, self.random_codes = name, random_codes

    @property
    def tapt_profile(self) -> str:
        """Name of the TAPT settings that suit it, which its config.json may carry; see `TAPT_PROFILES`."""
        return str(getattr(self.config, "tapt_profile", "standard"))

    def to(self, device: str | torch.device) -> Self:
        """Move it, in place."""
        self.model.to(device)  # pyright: ignore[reportArgumentType] -- transformers' wrapper hides the signature
        return self

    def copy(self) -> "Backbone":
        """Another one with the same weights."""
        return Backbone(copy.deepcopy(self.model), name=self.name, random_codes=self.random_codes)

    def save(self, folder: Path) -> None:
        """Write it as a transformers model, which `load_backbone` reads."""
        self.model.save_pretrained(folder)
        feature_extractor(self.config).save_pretrained(folder)


def load_backbone(name: str, *, seed: int = 0) -> Backbone:
    """Load a backbone in float32, in eval mode, on the CPU.

    Args:
        name: "aftertone-mini", which comes with the package; "tiny", drawn at random; a local folder, which may start
            with `~`; or a model's name on the Hugging Face hub. A wav2vec 2.0 that was saved without its quantiser
            loads too; the quantiser is then drawn under `seed`.
        seed: of every weight that no checkpoint gives.

    Raises:
        BackboneError: there is no such folder, the hub can't be reached, or the model is of no known family.
    """
    if name == TINY:
        return Backbone(tiny_model(seed), name=TINY, random_codes=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _load(name, _source(name))


def _source(name: str) -> str:
    """What transformers loads: a folder, or a name on the hub."""
    if name == MINI:
        return str(FOLDER)
    return home_of(name)


def _load(name: str, source: str) -> Backbone:
    if looks_like_a_folder(source) and not Path(source).is_dir():
        raise no_folder(source)
    try:
        config: Any = AutoConfig.from_pretrained(source)
        family = family_of(config)
        read_preprocessing(name, source, config)
        if getattr(config, "add_adapter", False):
            raise BackboneError(f"{name} has adapter layers that shorten time; set the backbone to a model without.")
        if not config.mask_time_prob:
            config.mask_time_prob = 0.05  # above zero, so that the model has the vector that stands for a masked frame
        loaded: Any = family.pretraining.from_pretrained(  # declared without the second half of what it returns
            source, config=config, dtype=torch.float32, output_loading_info=True
        )
        model, loading = loaded
    except (OSError, ValueError) as error:
        raise BackboneError(
            f"The backbone {name} can't be loaded: {str(error).splitlines()[0]} Check the name and the connection to "
            "the Hugging Face hub, or download the model elsewhere and set the backbone to its folder."
        ) from error
    missing = sorted(loading["missing_keys"])
    if lost := [key for key in missing if not key.removeprefix(f"{model.base_model_prefix}.").startswith(OPTIONAL)]:
        raise BackboneError(
            f"{name} lacks {len(lost)} weights, such as {lost[0]}. Set the backbone to a complete model."
        )
    random_codes = any(key.startswith(QUANTISER) for key in missing)
    if random_codes:
        log.warning("The checkpoint has no quantiser: drawn at random", extra={"action": "quantiser_drawn"})
    return Backbone(model.eval(), name=name, random_codes=random_codes)
