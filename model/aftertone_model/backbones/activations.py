"""What training keeps of a transformer's activations: how much that is, and how to keep less."""

import torch

from aftertone_model.backbones.encoder import Encoder
from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.memory import Portion

CPU_BYTES = 2e9  # of activations at once: a CPU gains nothing from more, and results don't depend on what is free
GPU_SHARE = 0.5  # of the memory that is free when training begins
PER_HIDDEN, PER_INTERMEDIATE, PER_ATTENTION = 10, 3, 3  # numbers that a layer keeps per hidden unit, and so on
BYTES = 4  # per number


def training_portion(encoder: Encoder, longest: float, work: str) -> Portion:
    """How much audio one pass of training takes, so that its activations fit.

    Where a single stretch is too much, layers keep their inputs alone, and are computed a second time for the gradient
    (Chen et al. 2016, arXiv 1604.06174). That takes a third more time.

    Args:
        encoder: of the model in training, on its device.
        longest: seconds of the longest stretch.
        work: for messages.
    """
    device = encoder.device
    room = CPU_BYTES if device.type != "cuda" else GPU_SHARE * torch.cuda.mem_get_info(device)[0]
    kept = bytes_per_second(encoder, longest)
    if kept * longest > room and recompute(encoder):
        kept = bytes_per_second(encoder, longest, recomputed=True)
    return Portion(room / kept, work, save=lambda: recompute(encoder))


def bytes_per_second(encoder: Encoder, longest: float, *, recomputed: bool = False) -> float:
    """About how much training keeps of a second of audio, in stretches of `longest` seconds."""
    config = encoder.config
    frames = SAMPLE_RATE / encoder.hop  # per second
    linear = PER_HIDDEN * config.hidden_size + PER_INTERMEDIATE * config.intermediate_size
    attention = PER_ATTENTION * config.num_attention_heads * frames * longest  # of each frame to all others
    layers = config.num_hidden_layers
    numbers = layers * config.hidden_size + linear + attention if recomputed else layers * (linear + attention)
    return BYTES * frames * numbers


def recompute(encoder: Encoder) -> bool:
    """Keep layers' inputs alone in training from here on; False where that is so already."""
    if encoder.model.is_activation_checkpointing:
        return False
    encoder.model.activation_checkpointing_enable({"use_reentrant": False})
    return True


def keep_all(encoder: Encoder) -> None:
    """Keep activations in training again."""
    if encoder.model.is_activation_checkpointing:
        encoder.model.activation_checkpointing_disable()
