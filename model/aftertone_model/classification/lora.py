"""LoRA: low-rank updates of the attention's projections (Hu et al. 2021, arXiv 2106.09685).

They stand in the model while it is trained, and are added to its weights at the end.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.utils import parametrize

from aftertone_model.backbones.encoder import Encoder

TARGETS = ("q_proj", "v_proj")


class LowRank(nn.Module):
    """A weight W (E, D) plus B·A, where A (R, D) is drawn as peft does and B (E, R) begins at 0."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        self.lora_a = nn.Parameter(weight.new_empty(rank, weight.shape[1]))
        self.lora_b = nn.Parameter(weight.new_zeros(weight.shape[0], rank))
        nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.lora_b @ self.lora_a


def add_lora(encoder: Encoder, rank: int, targets: Sequence[str] = TARGETS) -> None:
    """Put updates of that rank, scaled by 1, into every layer.

    Args:
        targets: the projections, by transformers' names; query and value unless named.
    """
    if encoder.family.projections == "read":
        for projection in _projections(encoder, targets):
            parametrize.register_parametrization(projection, "weight", LowRank(projection.weight, rank))
        return
    from peft import LoraConfig, inject_adapter_in_model  # takes a second, which other tunings needn't wait

    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(targets)), encoder.body)


def lora_weights(model: nn.Module) -> list[nn.Parameter]:
    """The updates' own weights; none where there is no LoRA."""
    return [weight for name, weight in model.named_parameters() if "lora_" in name]


def merge_lora(encoder: Encoder) -> None:
    """Add the updates to the weights of `TARGETS`, so that the model is a plain transformers model again."""
    if encoder.family.projections == "read":
        for projection in _projections(encoder, TARGETS):
            parametrize.remove_parametrizations(projection, "weight", leave_parametrized=True)
        return
    from peft.tuners.lora import LoraLayer

    for parent in list(encoder.body.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLayer):
                child.merge()
                setattr(parent, name, child.get_base_layer())


def _projections(encoder: Encoder, targets: Sequence[str]) -> list[nn.Linear]:
    return [getattr(layer.attention, name) for layer in encoder.body.encoder.layers for name in targets]
