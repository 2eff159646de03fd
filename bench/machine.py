"""What a figure was measured on and with."""

import os
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import which

import torch

from nvc.codec.device import device_name

ROOT = Path(__file__).parents[1]
COMMIT = "NVC_COMMIT"  # environment variable: names the commit of a tree that was copied without its .git


def results_name(device: str) -> str:
    """File name for the results of a device: `NVIDIA H200` -> `nvidia-h200.jsonl`."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") + ".jsonl"


def commit() -> str | None:
    """The commit of this tree, or what NVC_COMMIT names; None when nvc differs from it, or nobody knows."""
    if named := os.environ.get(COMMIT):
        return named
    if not (ROOT / ".git").exists() or which("git") is None:
        return None
    git = ["git", "-C", str(ROOT)]
    if subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "nvc"], capture_output=True).returncode:
        return None
    untracked = subprocess.run([*git, "ls-files", "--others", "--exclude-standard", "--", "nvc"], capture_output=True)
    if untracked.stdout:
        return None
    return subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def software() -> dict[str, str | None]:
    """Versions that can change a speed; None for what is not installed."""
    return {name: _version(name) for name in ("torch", "triton", "numba", "numpy")} | {"cuda": torch.version.cuda}


def origin() -> dict[str, str | None]:
    """What belongs beside every figure."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"commit": commit(), "date": now, "device": device_name()} | software()
