"""What a round leaves: the pooled classifier that judges, and beside it a plain one that transformers can load."""

import copy
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from aftertone_model.backbones.families import SpeechClassifier
from aftertone_model.classification.classifier import load_classifier
from aftertone_model.errors import BackboneError
from aftertone_model.export.exported import Exported
from aftertone_model.supervised_contrastive.pooling import PooledClassifier, SelfAttentionPooling

Module = TypeVar("Module", bound=torch.nn.Module)
POOLING, HEAD = "pooling.safetensors", "pooled_head.safetensors"
JUDGE = Path(__file__).with_name("exported_head.py")


@dataclass(frozen=True, kw_only=True)
class PooledModel:
    """Both are trained on the same labels and read the same transformer, which is stage 1's."""

    classifier: SpeechClassifier  # in eval mode; a plain transformers model
    head: PooledClassifier | None  # judges; None: the plain classifier does

    def over(self, temperature: float) -> "PooledModel":
        """With logits divided by a temperature; those of a plain classifier in place."""
        if self.head is None:
            return self.plain_over(temperature)
        head = copy.deepcopy(self.head)
        _divide(head.layers[-1].parameters(), temperature)
        return PooledModel(classifier=self.classifier, head=head)

    def plain_over(self, temperature: float) -> "PooledModel":
        """With the plain classifier's logits divided by a temperature, in place."""
        _divide(self.classifier.classifier.parameters(), temperature)
        return self

    def save(self, folder: Path) -> None:
        """Write a folder that transformers reads, with the head in a file of its own."""
        self.classifier.save_pretrained(folder)
        if self.head is not None:
            save_file(_tensors(self.head), folder / HEAD)

    def exported(self) -> Exported:
        """What an export takes of it."""

        def write_head(folder: Path) -> None:
            assert self.head is not None
            save_file(_tensors(self.head), folder / HEAD)
            shutil.copyfile(JUDGE, folder / "head.py")

        return Exported(
            classifier=self.classifier,
            write_head=write_head,
            plain="the mean over time of the same transformer's output, a linear classifier of it, trained on the "
            "same labels",
        )


def load_model(folder: Path) -> PooledModel:
    """What `save` wrote, on the CPU.

    Raises:
        BackboneError: the folder is missing, damaged or holds something else.
    """
    return PooledModel(classifier=load_classifier(folder), head=_load(folder / HEAD, _head_of))


def save_pooling(pooling: SelfAttentionPooling, folder: Path) -> None:
    """Keep stage 1's pooling beside its transformer."""
    save_file(_tensors(pooling), folder / POOLING)


def load_pooling(folder: Path) -> SelfAttentionPooling:
    """What `save_pooling` wrote, on the CPU.

    Raises:
        BackboneError: it is missing or damaged.
    """
    return _load(folder / POOLING, lambda tensors: SelfAttentionPooling(tensors["attention.weight"].shape[1]))


def _head_of(tensors: dict[str, Tensor]) -> PooledClassifier:
    hidden, width = tensors["layers.0.weight"].shape
    return PooledClassifier(SelfAttentionPooling(width), hidden, len(tensors["layers.2.bias"]))


def _load(file: Path, make: Callable[[dict[str, Tensor]], Module]) -> Module:
    try:
        tensors = load_file(file)
        module = make(tensors)
        module.load_state_dict(tensors)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise BackboneError(
            f"{file} can't be read ({str(error).splitlines()[0]}). Run `aftertone adapt`, or train a round again."
        ) from error
    return module.eval()


def _tensors(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().cpu().clone().contiguous() for name, weight in module.state_dict().items()}


@torch.no_grad()
def _divide(parameters: Iterable[torch.nn.Parameter], temperature: float) -> None:
    for parameter in parameters:
        parameter /= temperature
