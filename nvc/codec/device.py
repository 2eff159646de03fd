"""Choosing the device, out loud: nothing falls back silently. What devices are called."""

import copy
import platform
import re
from pathlib import Path

import torch

from nvc.codec.errors import DeviceError
from nvc.models.lowdelay import LowDelay

LEAST_CAPABILITY = (8, 0)  # int8 tensor cores that the kernels are compiled for


def choose_device(name: str) -> tuple[torch.device, str]:
    """The device for `auto`, `cpu`, `cuda` or `cuda:N`, and the reason as a phrase for the user.

    Raises DeviceError when the device named cannot be used.
    """
    if name == "cpu":
        return torch.device("cpu"), "asked for"
    if name == "auto":
        return torch.device("cpu"), "the GPU path of this version has not been proved on hardware"
    kind, _, number = name.partition(":")
    if kind != "cuda" or (number and not (number.isascii() and number.isdigit())):
        raise DeviceError(f"device {name!r} is none of auto, cpu, cuda, cuda:N")
    if not torch.cuda.is_available():
        raise DeviceError(f"device {name!r} was asked for, but torch finds no usable CUDA GPU on this machine")
    index, count = int(number or 0), torch.cuda.device_count()
    if index >= count:
        raise DeviceError(f"device {name!r} was asked for, but this machine has {count} CUDA GPU(s), counted from 0")
    if (found := torch.cuda.get_device_capability(index)) < LEAST_CAPABILITY:
        raise DeviceError(f"device {name!r} has compute capability {found[0]}.{found[1]}; nvc needs 8.0 or more")
    return torch.device("cuda", index), f"asked for: {torch.cuda.get_device_name(index)}"


def processor_name() -> str:
    """What the system calls its processor, or else the kind of machine."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return found[1] if found else platform.machine()


def device_name() -> str:
    """The first GPU's name, or the processor's where there is no GPU."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else processor_name()


def network_on(network: LowDelay, device: torch.device) -> LowDelay:
    """The network with its tables on the device: itself where they are, else a copy."""
    if network.cdf.device == device:
        return network
    return copy.deepcopy(network).to(device)
