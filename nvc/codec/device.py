"""Choosing the device, out loud: nothing falls back silently."""

import torch

from nvc.codec.errors import DeviceError


def choose_device(name: str) -> tuple[torch.device, str]:
    """The device for `auto`, `cpu`, `cuda` or `cuda:N`, and the reason as a phrase for the user.

    Raises DeviceError when the device named cannot be used.
    """
    if name == "cpu":
        return torch.device("cpu"), "asked for"
    if name == "auto":
        return torch.device("cpu"), "this version of nvc codes on the CPU"
    kind, _, number = name.partition(":")
    if kind != "cuda" or (number and not number.isdigit()):
        raise DeviceError(f"device {name!r} is none of auto, cpu, cuda, cuda:N")
    if not torch.cuda.is_available():
        raise DeviceError(f"device {name!r} was asked for, but torch finds no usable CUDA GPU on this machine")
    raise DeviceError(f"device {name!r} was asked for, but this version of nvc codes on the CPU only")
