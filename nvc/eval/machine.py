"""What an evaluation ran on and with."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import av
import torch


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, str]:
    """Names and versions that decide speeds."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    processor = found[1] if found else platform.machine()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numba", "numpy", "av"))
    libraries = ", ".join(f"{name} {'.'.join(map(str, v))}" for name, v in sorted(av.library_versions.items()))
    return {
        "device": device,
        "processor": f"{processor}, {cores()} cores",
        "python": platform.python_version(),
        "packages": packages,
        "libraries": libraries,
    }
