"""One point of a curve, and one measurement of speed."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from nvc.eval.clips import Source
from nvc.eval.codecs import Codec, check_md5
from nvc.eval.metrics import measure
from nvc.eval.results import Point, Speed
from nvc.media.quality import psnr_611

SPEED_FRAMES = 60


def measure_point(
    codec: Codec,
    quality: int,
    source: Source,
    raw: Path,
    key: str,
    out: Path,
    work: Path,
    threads: int,
    stopped: Callable[[], bool],
) -> Point:
    """Encode to a file in `out` / streams, decode that again and compare.

    Raises Failed, Interrupted, OSError; RuntimeError when a fresh decoder does not give nvc's own reconstruction.
    """
    stream = out / "streams" / source.name / f"{codec.name}-{quality}.{codec.suffix}"
    stream.parent.mkdir(parents=True, exist_ok=True)
    decoded = work / f"{source.name}-{codec.name}-{quality}.yuv"
    with ExitStack() as stack:
        stack.callback(decoded.unlink, missing_ok=True)
        coded = codec.encode(source, raw, quality, stream, threads, stopped)
        codec.decode(source, stream, decoded, threads, stopped)
        if coded.md5 is not None:
            check_md5(decoded, coded.md5)
        found = measure(source, raw, decoded, stopped)
    size = stream.stat().st_size
    y, u, v = (float(np.mean([frame[i] for frame in found.psnr])) for i in range(3))
    return Point(
        codec=codec.name,
        quality=quality,
        key=key,
        bytes=size,
        bpp=8 * size / source.pixels,
        kbps=float(8 * size * source.rate / source.frames / 1000),
        psnr_y=y,
        psnr_u=u,
        psnr_v=v,
        psnr_611=psnr_611(y, u, v),
        ms_ssim=found.ms_ssim,
        vmaf=found.vmaf,
        frame_bytes=coded.sizes,
        frame_psnr_y=[round(frame[0], 4) for frame in found.psnr],
        file=str(stream.relative_to(out)),
        command=codec.command(source, quality),
    )


def first_frames(raw: Path, source: Source, most: int, work: Path) -> tuple[Source, Path]:
    """At most so many frames of a clip, in a file of their own."""
    frames = min(source.frames, most)
    size, path = source.width * source.height * 3 // 2, work / f"{source.name}-{most}.yuv"
    with raw.open("rb") as file, path.open("wb") as target:
        for _ in range(frames):
            target.write(file.read(size))
    return Source(**{**vars(source), "frames": frames}), path


def measure_speed(
    codec: Codec,
    quality: int,
    sample: Source,
    raw: Path,
    key: str,
    work: Path,
    threads: int,
    stopped: Callable[[], bool],
) -> Speed:
    """Time one encoding and one decoding, raw file to stream to raw file, after a warm run where one is needed.

    Raises Failed, Interrupted, OSError.
    """
    stream, decoded = work / f"speed.{codec.suffix}", work / "speed.yuv"
    if codec.warms_up:
        few, cut = first_frames(raw, sample, 2, work)
        codec.encode(few, cut, quality, stream, threads, stopped, check=False)
        codec.decode(few, stream, decoded, threads, stopped)
        cut.unlink()
    coded = codec.encode(sample, raw, quality, stream, threads, stopped, check=False)
    seconds = codec.decode(sample, stream, decoded, threads, stopped)
    decoded.unlink()
    return Speed(
        codec=codec.name,
        quality=quality,
        key=key,
        frames=sample.frames,
        threads=threads,
        encode_fps=sample.frames / coded.seconds,
        decode_fps=sample.frames / seconds,
        command=codec.command(sample, quality),
    )
