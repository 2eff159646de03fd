"""What an evaluation ran on and with."""

import os
import platform
from importlib.metadata import version

import av

from nvc.codec.device import device_name, processor_name


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, str]:
    """Names and versions that decide speeds."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numba", "numpy", "av"))
    libraries = ", ".join(f"{name} {'.'.join(map(str, v))}" for name, v in sorted(av.library_versions.items()))
    return {
        "device": device_name(),
        "processor": f"{processor_name()}, {cores()} cores",
        "python": platform.python_version(),
        "packages": packages,
        "libraries": libraries,
    }
