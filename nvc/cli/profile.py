"""`nvc profile`: where the time of encoder and decoder goes on this machine, file reading and writing left out."""

import argparse
from typing import TYPE_CHECKING

from nvc.cli.console import remark, say
from nvc.cli.options import count, quality

if TYPE_CHECKING:
    from nvc.profile.session import Profile, Row, Work

# name, width, digits after the point
COLUMNS = (
    ("ms/frame", 10, 3),
    ("share %", 9, 1),
    ("calls", 7, 1),
    ("MMAC", 9, 0),
    ("MB", 8, 1),
    ("GMAC/s", 9, 1),
    ("GB/s", 8, 1),
    ("roof ms", 9, 3),
    ("roof %", 8, 1),
)


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("input", metavar="CLIP", help="a video file")
    parser.add_argument(
        "--frames",
        type=count,
        default=24,
        metavar="N",
        help="inter frames to count, after four warm ones (default: 24)",
    )
    parser.add_argument(
        "--qp", type=quality, default=32, metavar="0..63", help="quality, higher is better (default: 32)"
    )
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--threads", type=count, metavar="N", help="CPU threads (default: one for each core)")


def run(args: argparse.Namespace) -> int:
    """Profile. Returns the exit code."""
    from nvc.cli import exits
    from nvc.codec.threads import set_threads
    from nvc.profile.session import profile

    if args.threads:
        set_threads(args.threads)
    remark(f"profiling {args.input} ...")
    result = profile(args.input, frames=args.frames, qp=args.qp, device=args.device)
    say(text(args.input, result))
    return exits.OK


def text(name: str, result: "Profile") -> str:
    """The tables."""
    roof = result.ceilings
    lines = [
        f"{name}: {result.frames} inter frames of {result.width}x{result.height}, QP {result.qp}, "
        f"{result.bytes / result.frames:.0f} bytes each",
        f"device   {result.device} ({result.device_reason}), {result.threads} CPU thread(s)",
        f"ceilings measured: memory {roof.memory / 1e9:.1f} GB/s, cache {roof.cache / 1e9:.1f} GB/s "
        f"({roof.cache_bytes >> 20} MiB), int8 {roof.int8 / 2e9:.0f} GMAC/s",
    ]
    for work in result.works:
        lines += ["", *_work(work)]
    lines += ["", "roof %: time at the ceilings / time taken. rest: outside of stages. Times of threads that work side"]
    lines += ["by side add up: a kernel that runs beside another stage shows in full, its stage only the waiting."]
    return "\n".join(lines)


def _work(work: "Work") -> list[str]:
    speed = f"{1e3 * work.seconds:.2f} ms a frame, {1 / work.seconds:.1f} fps"
    lines = [f"{work.name}: {speed}; first frame, a keyframe: {1e3 * work.first:.1f} ms", ""]
    for title, rows in (("stage", work.stages), ("kernel", work.kernels)):
        lines.append(f"  {title:18}" + "".join(f"{head:>{width}}" for head, width, _ in COLUMNS))
        lines += [_row(row, work.seconds) for row in rows]
        if title == "stage":
            lines.append(f"  {'rest':18}" + _cells((1e3 * work.rest, 100 * work.rest / work.seconds)))
            lines.append("")
    return lines


def _row(row: "Row", whole: float) -> str:
    known = (1e3 * row.seconds, 100 * row.seconds / whole, row.calls, row.cost.macs / 1e6, row.cost.bytes / 1e6)
    rates = (row.cost.macs / row.seconds / 1e9, row.cost.bytes / row.seconds / 1e9)
    roof = (1e3 * row.roof, 100 * row.roof / row.seconds)
    beside = row.roof > row.seconds  # its kernels run in another thread
    return f"  {row.name:18}" + _cells(known if beside else known + rates + roof)


def _cells(values: tuple[float, ...]) -> str:
    return "".join(f"{value:{width}.{digits}f}" for value, (_, width, digits) in zip(values, COLUMNS, strict=False))
