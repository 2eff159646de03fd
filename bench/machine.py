"""What a figure was measured on and with."""

import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]


def device_name() -> str:
    """The GPU's name, or the processor's where there is no GPU."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else "processor of unknown name"


def results_name(device: str) -> str:
    """File name for the results of a device: `NVIDIA H200` -> `nvidia-h200.jsonl`."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") + ".jsonl"


def commit() -> str | None:
    """The commit of this tree; None when nvc or the benchmarks differ from it, or git knows nothing about them."""
    git = ["git", "-C", str(ROOT)]
    if subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "nvc"], capture_output=True).returncode:
        return None
    untracked = subprocess.run([*git, "ls-files", "--others", "--exclude-standard", "--", "nvc"], capture_output=True)
    if untracked.stdout:
        return None
    return subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()


def software() -> dict[str, str | None]:
    """Versions that can change a speed."""
    return {name: version(name) for name in ("torch", "triton", "numba", "numpy")} | {"cuda": torch.version.cuda}
