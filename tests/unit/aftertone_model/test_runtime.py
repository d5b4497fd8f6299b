"""Where to compute."""

import pytest
import torch

from aftertone_model.errors import DeviceError
from aftertone_model.runtime import device_name, device_named


def test_a_gpu_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_name(device_named("auto")) == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    assert device_name(device_named("auto")) == "cuda (A GPU)"
    assert device_name(device_named("cuda:1")) == "cuda:1 (A GPU)"
    with pytest.raises(DeviceError, match="DEVICE=cuda:2, but PyTorch sees 2 GPUs"):
        device_named("cuda:2")


def test_a_gpu_that_is_not_there_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"DEVICE=cuda, but PyTorch sees no GPUs here\. Install the driver"):
        device_named("cuda")
