"""What can be said of a backbone before it is loaded, for what starts and never loads one: loading brings torch."""

import json
from contextlib import suppress
from pathlib import Path

from aftertone_model.errors import BackboneError

MINI = "aftertone-mini"  # comes with the package
TINY = "tiny"  # drawn at random
MODEL_TYPES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio")
"""The families that a backbone can be of, as a transformers model's config.json names them."""


def check_backbone(name: str) -> None:
    """Check a backbone that is a local folder. Whether the hub has a name is only found when it is asked.

    Raises:
        BackboneError: there is no such folder, it holds no transformers model, or one of another family.
    """
    if name in (MINI, TINY):
        return
    folder = Path(home_of(name))
    if not folder.is_dir():
        if looks_like_a_folder(name):
            raise no_folder(name)
        return
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model_type = config["model_type"]
    except FileNotFoundError:
        raise BackboneError(
            f"{name} holds no config.json, so it is no transformers model. Set the backbone to a folder that "
            "save_pretrained wrote."
        ) from None
    except (OSError, ValueError, TypeError, KeyError):
        raise BackboneError(
            f"The config.json of {name} can't be read or names no model_type. Set the backbone to a folder that "
            "save_pretrained wrote."
        ) from None
    if model_type not in MODEL_TYPES:
        raise wrong_family(str(model_type))


def home_of(name: str) -> str:
    """A name with `~` replaced by the home folder that it stands for."""
    if name.startswith("~"):
        with suppress(RuntimeError):  # there is no such user, hence no such folder
            return str(Path(name).expanduser())
    return name


def looks_like_a_folder(name: str) -> bool:
    """Whether a name can't be one of the hub's, which have one slash at most and none at an end."""
    return name.startswith(("/", ".", "~")) or name.count("/") > 1 or name.endswith("/")


def no_folder(name: str) -> BackboneError:
    """The error for a folder that isn't there."""
    return BackboneError(f"There is no folder {name}. Set the backbone to a folder that save_pretrained wrote.")


def wrong_family(model_type: str) -> BackboneError:
    """The error for a model of a family that can't be a backbone."""
    return BackboneError(f"A {model_type} model can't be a backbone; Aftertone takes {', '.join(MODEL_TYPES)}.")
