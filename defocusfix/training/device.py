"""Which device a run computes on."""

from __future__ import annotations

import torch

from defocusfix.errors import DeviceError


def training_device(wanted: str, local_rank: int = 0) -> torch.device:
    """The device by name: auto, cpu, cuda, cuda:N or mps.

    auto is a CUDA GPU where one is usable, else the processor. cuda without a number is GPU
    `local_rank`, so that several processes on one machine take one each.
    Raises DeviceError where the device that was asked for is not usable.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise DeviceError(f"there is no device {wanted!r}", why=str(error)) from error
    if device.type == "cuda":
        number = device.index if wanted.partition(":")[1] else local_rank
        if number >= torch.cuda.device_count():
            raise DeviceError(
                f"device {wanted!r} was asked for, but CUDA GPU {number} is not usable",
                why=f"torch {torch.__version__} finds {torch.cuda.device_count()} of them",
                fix="--set trainer.device=auto",
            )
        device = torch.device("cuda", number)
        torch.cuda.set_device(device)
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(f"device {wanted!r} was asked for, but it is not usable")
    return device
