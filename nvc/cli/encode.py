"""`nvc encode`: videos in, `.nvc` files out."""

import argparse
import os
import sys
from contextlib import ExitStack
from typing import Any

from nvc.cli import exits
from nvc.cli.console import remark, say
from nvc.cli.options import (
    add_output_options,
    add_range_options,
    add_run_options,
    count,
    interval,
    quality,
    rate,
    size,
)


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument(
        "inputs", nargs="+", metavar="IN", help="a video file, raw .yuv, frame_%%05d.png, or - for y4m on a pipe"
    )
    parser.add_argument(
        "-o",
        dest="output",
        metavar="OUT.nvc",
        required=True,
        help="output file, - for a pipe, or for several inputs a folder, where a.mp4 becomes a.nvc",
    )
    parser.add_argument(
        "--jobs", type=count, default=1, metavar="N", help="of several inputs, encode N at a time (default: 1)"
    )
    parser.add_argument(
        "--fast",
        dest="preset",
        action="store_const",
        const="fast",
        default="fast",
        help="preset fast, at present the only one",
    )
    parser.add_argument(
        "--qp", type=quality, default=32, metavar="0..63", help="quality, higher is better (default: 32)"
    )
    parser.add_argument(
        "--keyint",
        type=interval,
        default=-1,
        metavar="N",
        help="a keyframe every N frames; -1: the first only (default)",
    )
    parser.add_argument(
        "--no-scenecut",
        dest="scenecut",
        action="store_false",
        help="no keyframes but these: by default a new scene begins with one",
    )
    add_range_options(parser)
    parser.add_argument("--size", type=size, metavar="WxH", help="picture size of raw .yuv input")
    parser.add_argument("--fps", type=rate, metavar="N/D", help="frame rate of raw .yuv or numbered-picture input")
    parser.add_argument("--pix-fmt", metavar="F", help="pixel format of raw .yuv input (default: yuv420p)")
    parser.add_argument("--psnr", action="store_true", help="measure the reconstruction against the source")
    add_run_options(parser)
    add_output_options(parser)


def run(args: argparse.Namespace) -> int:
    """Encode. Returns the exit code."""
    from nvc.cli.batch import encode_all, into_folder
    from nvc.cli.outputs import check_outputs
    from nvc.codec.threads import set_threads

    for name in args.inputs:
        if name.lower().endswith(".yuv") and args.size is None:
            raise exits.UsageError("raw .yuv video does not say how large its pictures are; add --size WxH")
    several = len(args.inputs) > 1 or os.path.isdir(args.output)
    outputs = into_folder(args.inputs, args.output) if several else [args.output]
    check_outputs(args.inputs, [*outputs, args.json], args.overwrite)
    if args.output == "-" and sys.stdout.isatty():
        raise exits.UsageError("an .nvc stream is not for a terminal; redirect standard output or name a file")
    if args.threads:
        set_threads(args.threads)
    options = {
        "qp": args.qp,
        "keyint": args.keyint,
        "scenecut": args.scenecut,
        "preset": args.preset,
        "start": args.start,
        "frames": args.frames,
        "size": args.size,
        "fps": args.fps,
        "pix_fmt": args.pix_fmt,
        "device": args.device,
        "overwrite": True,
        "psnr": args.psnr,
        "md5": args.json is not None,
    }
    if several:
        return encode_all(dict(zip(args.inputs, outputs, strict=True)), options, args.jobs, args.json, args.quiet)
    return _encode(args.inputs[0], args.output, options, args.json, args.quiet)


def _encode(source: str, target: str, options: dict[str, Any], figures: str | None, quiet: bool) -> int:
    from nvc.api.encoding import encode
    from nvc.cli.outputs import JsonOutput
    from nvc.cli.progress import ProgressLine
    from nvc.cli.report import fields, summary
    from nvc.cli.signals import graceful

    with ExitStack() as stack:
        record = JsonOutput(figures, stack)
        stop = stack.enter_context(graceful())
        with ProgressLine(stop, quiet) as progress:
            result = encode(source, target, **options, observer=progress)
        if not quiet:
            say(summary(target, result), stdout_is_data="-" in (target, figures))
        if result.interrupted:
            remark(f"nvc: interrupted; {target} holds the {len(result.frames)} frames before that")
        record.write(fields("encode", source, target, result))
    return exits.INTERRUPTED if result.interrupted else exits.OK
