"""How good decoded pictures are: PSNR of every plane, MS-SSIM of luma, VMAF where an ffmpeg has it."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from math import log10
from pathlib import Path

import numpy as np

from nvc.eval.clips import MS_SSIM_SIDE, Source, pictures
from nvc.eval.results import Metric, Point
from nvc.eval.stop import Failed, Interrupted, run
from nvc.media.frame import Plane
from nvc.media.quality import psnr

TOGETHER = 4  # frames whose MS-SSIM is measured in one go


@dataclass
class Quality:
    """Of one decoded clip: PSNR of each plane for each frame in dB, means of MS-SSIM (0..1) and VMAF (0..100)."""

    psnr: list[tuple[float, float, float]]
    ms_ssim: float | None
    vmaf: float | None


@cache
def ffmpeg() -> tuple[str | None, str]:
    """Path of an ffmpeg with libvmaf and how to name it; or None and the reason."""
    try:
        import imageio_ffmpeg
    except ImportError:
        return None, "imageio-ffmpeg is not installed"
    try:
        path = str(imageio_ffmpeg.get_ffmpeg_exe())
        said = [
            subprocess.run([path, o], capture_output=True, text=True, check=True).stdout
            for o in ("-version", "-filters")
        ]
    except (RuntimeError, OSError, subprocess.CalledProcessError):
        return None, "imageio-ffmpeg has no ffmpeg that runs here"
    if " libvmaf " not in said[1]:
        return None, "the ffmpeg of imageio-ffmpeg lacks libvmaf"
    return path, f"ffmpeg {said[0].split()[2]}, built-in model vmaf_v0.6.1"


def metrics() -> list[Metric]:
    """What can be measured here, and with what."""
    path, how = ffmpeg()
    exact = "8-bit planes, mean over frames of each frame's PSNR"
    return [
        Metric("psnr_y", "PSNR-Y, dB", exact),
        Metric("psnr_611", "PSNR 6:1:1, dB", "(6 Y + U + V) / 8 of the mean PSNR of the planes"),
        Metric("ms_ssim", "MS-SSIM, dB", f"pytorch-msssim {version('pytorch-msssim')}, luma, -10 log10(1 - mean)"),
        Metric("vmaf", "VMAF", how if path else "", None if path else how),
    ]


def figure(point: Point, metric: str) -> float | None:
    """The value of a metric as curves and BD-rate use it: MS-SSIM in decibels."""
    if metric == "ms_ssim":
        return None if point.ms_ssim is None else -10 * log10(max(1 - point.ms_ssim, 1e-9))
    value = getattr(point, metric)
    return None if value is None else float(value)


def measure(source: Source, raw: Path, decoded: Path, stopped: Callable[[], bool]) -> Quality:
    """Compare two raw files. Raises Failed when the number of pictures differs, Interrupted."""
    size = source.width * source.height * 3 // 2
    if decoded.stat().st_size != size * source.frames:
        raise Failed(f"{decoded.stat().st_size / size:g} frames came back, {source.frames} were coded")
    pairs = zip(*(pictures(path, source.width, source.height) for path in (raw, decoded)), strict=True)
    values: list[tuple[float, float, float]] = []
    lumas: list[tuple[Plane, Plane]] = []
    similarity = 0.0
    for a, b in pairs:
        y, u, v = (psnr(x, z) for x, z in zip(a, b, strict=True))
        values.append((y, u, v))
        if min(source.width, source.height) >= MS_SSIM_SIDE:
            lumas.append((a[0], b[0]))
            if len(lumas) == TOGETHER or len(values) == source.frames:
                similarity += _ms_ssim(lumas)
                lumas = []
        if stopped():
            raise Interrupted
    return Quality(values, similarity / source.frames or None, _vmaf(source, raw, decoded, stopped))


def _ms_ssim(pairs: list[tuple[Plane, Plane]]) -> float:
    """Sum over pairs of planes."""
    import torch
    from pytorch_msssim import ms_ssim

    with torch.no_grad():
        # frames as the channels of one picture, channels last: five times faster than one by one
        stacks = (np.stack(planes, -1).astype(np.float32) for planes in zip(*pairs, strict=True))
        x, y = (torch.from_numpy(stack).permute(2, 0, 1)[None] for stack in stacks)
        return len(pairs) * float(ms_ssim(x, y, data_range=255))


def _vmaf(source: Source, raw: Path, decoded: Path, stopped: Callable[[], bool]) -> float | None:
    path, _ = ffmpeg()
    if path is None:
        return None
    log = decoded.with_suffix(".vmaf.json")
    form = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{source.width}x{source.height}", "-r", "25"]
    graph = f"libvmaf=n_threads=1:log_fmt=json:log_path={log.name}"
    inputs = [*form, "-i", str(decoded.resolve()), *form, "-i", str(raw.resolve())]
    command = [path, "-nostdin", "-v", "error", *inputs, "-lavfi", graph, "-f", "null", "-"]
    code, _, _ = run(command, stopped, folder=log.parent)
    if code:
        raise Failed("VMAF cannot be measured: ffmpeg failed")
    found = json.loads(log.read_text())
    log.unlink()
    return float(found["pooled_metrics"]["vmaf"]["mean"])
