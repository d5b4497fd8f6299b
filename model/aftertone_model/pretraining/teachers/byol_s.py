"""A teacher for pre-training: BYOL-S (Elbanna et al., arXiv 2206.12038), a small CNN over log-mel spectra.

Its network is BYOL-A's (Niizumi et al., arXiv 2103.06695, §III-C): three blocks of convolution, batch norm, ReLU and
2 x 2 max pooling over 64 mel bands, then two fully connected layers over the bands and channels of each time step.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram

from aftertone_model.backbones.digest import digest
from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.errors import TeacherError
from aftertone_model.pretraining.teachers.teacher import Lesson

HOP = 1_280  # samples per embedding: three poolings halve the 10 ms of a mel frame's hop
LEVEL, SPREAD = -1.13, 5.0  # mean and deviation of log-mel values of speech at unit variance; BYOL-S centres by corpus
SILENCE = torch.finfo(torch.float32).eps  # added to the mel energy before the logarithm


class ByolS(nn.Module):
    """Embeds speech, one vector per 80 ms; frozen, in eval mode."""

    name, hop = "byol-s", HOP
    lessons: Sequence[Lesson] = (Lesson(columns=slice(None), layer=-1, weight=1.0),)

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        channels, width = len(weights["features.0.bias"]), len(weights["fc.0.bias"])
        blocks = [
            (nn.Conv2d(inputs, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(2))
            for inputs in (1, channels, channels)
        ]
        bands = weights["fc.0.weight"].shape[1] // channels * 8
        self.features = nn.Sequential(*(layer for block in blocks for layer in block))
        self.fc = nn.Sequential(
            nn.Linear(channels * bands // 8, width), nn.ReLU(), nn.Dropout(0.3), nn.Linear(width, width), nn.ReLU()
        )
        self.load_state_dict(weights)
        self._mel = MelSpectrogram(
            SAMPLE_RATE, n_fft=1_024, win_length=400, hop_length=160, n_mels=bands, f_min=60.0, f_max=7_800.0
        )
        self.eval().requires_grad_(False)
        self.fingerprint = f"teacher-{digest(weights)}"

    @torch.no_grad()
    def embed(self, waveform: NDArray[np.float32]) -> NDArray[np.float16]:
        """All activations after the convolutions, as the higher ones forget what emotion needs.

        Args:
            waveform: (S,) at 16 kHz, at any level.

        Returns:
            (T, E) float16, T = S / 1,280; E is the convolutions' output and both fully connected layers side by side.
        """
        samples = torch.from_numpy(waveform)
        samples = (samples - samples.mean()) / (samples.std() + 1e-7)
        spectrum = (self._mel(nn.functional.pad(samples, (0, max(HOP - len(samples), 0)))) + SILENCE).log()  # (M, T')
        grid = self.features(((spectrum - LEVEL) / SPREAD)[None, None])[0]  # (C, M / 8, T)
        convolved = grid.permute(2, 1, 0).flatten(1)  # (T, M / 8 · C)
        hidden = self.fc[:2](convolved)
        return torch.cat([convolved, hidden, self.fc[2:](hidden)], dim=1).half().numpy()


def load_byol_s(path: Path) -> ByolS:
    """Read the weights that BYOL-S publishes for its default network, a file `byol-s_default*.pth`.

    Raises:
        TeacherError: there is no such file, or it holds something else.
    """
    try:
        return ByolS(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise TeacherError(f"There is no {path}. Name a file of BYOL-S weights, or leave the teacher out.") from None
    except Exception as error:  # what torch raises depends on what the file is instead
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise TeacherError(
            f"{path} holds no BYOL-S network of the default kind ({reason}). Name a file such as "
            "byol-s_default512.pth, or leave the teacher out."
        ) from error
