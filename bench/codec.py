"""Frames per second of whole sessions, on a CPU or a GPU, from pictures in memory to a stream in memory and back.

    python -m bench.codec [--preset main] [--device cuda] [--sizes 720p,1080p,4K] [--frames 240] [--qp 32]
                          [--threads N] [--json FILE]

A made-up clip goes through nvc.Encoder and nvc.Decoder; everything but file input and output is inside the timer. The
first frames, in which kernels are compiled, memory is allocated and graphs are captured, and later keyframes are stated
apart. No speed without proof: the first frames, decoded on the device, decoded on the CPU and reconstructed
by an encoder on the device, are compared bit for bit. A preset that nobody has trained yet runs with the weights that
training would start from, at the rates of a simple codec.
"""

import argparse
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import nvc
from bench.machine import origin
from bench.untrained import untrained
from nvc.codec.device import choose_device
from nvc.codec.frame import Frame
from nvc.codec.threads import set_threads
from nvc.models.config import CONFIGS
from nvc.models.weights import PRESETS, Model, shipped
from profiling.frame import Picture, picture

SIZES = {"tiny": (64, 48), "360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080), "4K": (3840, 2160)}
PICTURES = 6  # that are made; the clip runs to and fro
PROOF = 4  # frames that are compared
LEAST = 16  # frames on a CPU
# on a GPU frames are of three kinds: keyframes, those in which the memory starts afresh, every 32, and others; the
# first of a kind compiles its kernels and the second is captured as a graph
GPU_KEYINT = 34
GPU_WARM = 2 * GPU_KEYINT


def clip(width: int, height: int, frames: int) -> Callable[[int], Picture]:
    """Picture number n of a clip that runs to and fro."""
    made = [picture(width, height, n) for n in range(min(PICTURES, frames))]
    order = [*range(len(made)), *range(len(made) - 2, 0, -1)]
    return lambda n: made[order[n % len(order)]]


def timed(steps: Iterable[object]) -> list[float]:
    """Seconds of every step."""
    times, began = [], time.perf_counter()
    for _ in steps:
        now = time.perf_counter()
        times.append(now - began)
        began = now
    return times


def figures(times: list[float], keyint: int, warm: int) -> dict[str, object]:
    """What the times of a stream's frames say, the first `warm` apart. A keyframe may take of the next one's time."""
    keys = [n for n in range(keyint, len(times) - 1, keyint) if n >= warm]
    inter = np.array([t for n, t in enumerate(times) if n >= warm and n % keyint > 1])
    p20, p50, p80 = np.percentile(inter, (20, 50, 80)).tolist()
    return {
        "fps": len(inter) / inter.sum(),
        "frames": len(inter),
        "ms": {"p20": 1e3 * p20, "p50": 1e3 * p50, "p80": 1e3 * p80},
        "keyframe_ms": 1e3 * (np.median([times[n] + times[n + 1] for n in keys]) - p50),
        "first_ms": 1e3 * times[0],
        "warm_up_ms": 1e3 * sum(times[:warm]),
    }


def digest(frames: Iterable[Frame | None]) -> str:
    """MD5 of the planes of frames."""
    md5 = hashlib.md5(usedforsecurity=False)
    for frame in frames:
        assert frame is not None
        md5.update(frame.tobytes())
    return md5.hexdigest()


def proven(
    stream: bytes, pictures: Callable[[int], Picture], size: tuple[int, int], qp: int, device: str, model: Model
) -> str:
    """MD5 of the first frames. SystemExit when device and CPU do not agree about them."""
    with nvc.Encoder(io.BytesIO(), *size, qp=qp, device=device, model=model) as encoder:
        made = digest([encoder.write(*pictures(n)).frame for n in range(PROOF)])
    for on in {device, "cpu"}:
        if (got := digest(islice(nvc.Decoder(io.BytesIO(stream), device=on, model=model), PROOF))) != made:
            raise SystemExit(f"not bit-exact, no speed: decoded on {on} {got}, reconstructed on {device} {made}")
    return made


def measure(size: tuple[int, int], frames: int, qp: int, device: str, model: Model) -> dict[str, object]:
    """The figures of one size, for both directions."""
    gpu = choose_device(device)[0].type == "cuda"
    keyint, warm = (GPU_KEYINT, GPU_WARM) if gpu else (frames // 2, 4)
    if frames < (least := warm + GPU_KEYINT if gpu else LEAST):
        raise SystemExit(f"{frames} frames; {least} at least")
    pictures, stream = clip(*size, frames), io.BytesIO()
    settings = {"qp": qp, "keyint": keyint, "device": device, "model": model, "reconstructions": False}
    with nvc.Encoder(stream, *size, **settings) as encoder:
        encode = timed(encoder.push(*pictures(n)) for n in range(frames))
    data = stream.getvalue()
    result: dict[str, object] = {"width": size[0], "height": size[1], "frames": frames, "qp": qp}
    result |= {"device": f"{encoder.device} ({encoder.device_reason})", "bytes": len(data)}
    result["bpp"] = len(data) * 8 / (frames * size[0] * size[1])
    result["md5"] = proven(data, pictures, size, qp, device, model)
    decode = timed(nvc.Decoder(io.BytesIO(data), device=device, model=model))
    return result | {"encode": figures(encode, keyint, warm), "decode": figures(decode, keyint, warm)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=tuple(CONFIGS), default="fast", help="default: fast")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sizes", default="720p,1080p,4K", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--qp", type=int, default=32)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.threads:
        set_threads(args.threads)
    model = shipped(args.preset) if args.preset in PRESETS else untrained(args.preset)
    steps = model.card["steps"]
    columns = ("size", "what", "fps", "ms p20", "p50", "p80", "keyframe ms", "first ms", "warm-up ms", "bpp")
    title = f"sessions in memory, {args.preset} of {steps} steps, QP {args.qp}, {args.frames} frames, inter counted"
    table = Table(*columns, title=title)
    rows = []
    for name in args.sizes.split(","):
        row = {"size": name} | measure(SIZES[name], args.frames, args.qp, args.device, model)
        rows.append(row)
        for what in ("encode", "decode"):
            f = row[what]
            ms = [*f["ms"].values(), f["keyframe_ms"], f["first_ms"], f["warm_up_ms"]]
            table.add_row(name, what, f"{f['fps']:.1f}", *(f"{t:.2f}" for t in ms), f"{row['bpp']:.3f}")
        if args.json:  # after every size: a time limit must not cost what is known
            args.json.parent.mkdir(parents=True, exist_ok=True)
            args.json.write_text(
                json.dumps(origin() | {"preset": args.preset, "steps": steps, "rows": rows}, indent=1) + "\n"
            )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
